// Cards on the wire: sealed by the principal's key, opened with proof of who the principal is.
import {
  type AgentCard,
  AgentCardSchema,
  CARD_BYTES_MAX,
  registrationSubject,
} from "../../contracts/index.ts";
import type { Principal, Signer, Trust } from "../ports/index.ts";
import { decode, encodeJson } from "./codec/codec.ts";
import { parseSeal, preimage, sealText } from "./signing.ts";

const CARD_LIMITS = { bytesMax: CARD_BYTES_MAX, depthMax: 32, keysMax: 10_000 };

export interface SealedCard {
  body: Uint8Array;
  seal: string;
}

export interface OpenCard {
  card: AgentCard;
  /** Undefined where signing is off. */
  principal: Principal | undefined;
}

/** A card that its readers take: where all of it is too much, the largest schemas are left out.
 * @returns `without`: the capabilities whose schemas they are */
export function fitted(card: AgentCard): { card: AgentCard; without: string[] } {
  const capabilities = [...card.capabilities];
  const whole = { ...card, capabilities };
  const without: string[] = [];
  const reads = () => readCard(Buffer.from(JSON.stringify(whole))) !== undefined;
  if (reads()) return { card, without };
  const sizes = capabilities.map(({ input, output }) => JSON.stringify([input, output]).length);
  const order = [...sizes.keys()].sort((a, b) => (sizes[b] as number) - (sizes[a] as number));
  for (const i of order) {
    const { input: _, output: __, ...rest } = capabilities[i] as AgentCard["capabilities"][number];
    capabilities[i] = rest;
    without.push(rest.name);
    if (reads()) break;
  }
  return { card: whole, without };
}

export function sealCard(card: AgentCard, signer: Signer | undefined): SealedCard {
  const body = encodeJson(card);
  const subject = registrationSubject(card.principal, card.agent);
  const signature = signer?.sign(preimage(subject, 0, card.at, card.instance, body));
  return { body, seal: sealText(card.at, signature) };
}

/** What the bytes say, not proven. */
export function readCard(body: Uint8Array): AgentCard | undefined {
  const raw = decode(body, CARD_LIMITS);
  return raw.ok ? AgentCardSchema.safeParse(raw.value).data : undefined;
}

/**
 * Opens a card that arrived under this name; undefined when anything does not fit.
 * @param atItsDate it says whose key it was when it was made: credentials that expire are of no use
 * from then on (the server sees to that), and what was signed before stays signed (P4.3)
 */
export function openCard(
  principal: string,
  agent: string,
  body: Uint8Array,
  seal: string | undefined,
  trust: Trust | undefined,
  { read = readCard, atItsDate = false } = {},
): OpenCard | undefined {
  const card = read(body);
  if (card === undefined) return undefined;
  if (card.principal !== principal || card.agent !== agent) return undefined;
  if (trust === undefined) return { card, principal: undefined };
  const who = trust.principal(principal, card.jwt, atItsDate ? card.at : undefined);
  const sealed = parseSeal(seal);
  if (who === undefined || sealed === undefined || sealed.at !== card.at) return undefined;
  const subject = registrationSubject(principal, agent);
  const text = preimage(subject, 0, card.at, card.instance, body);
  if (!trust.verify(who.publicKey, text, sealed.signature)) return undefined;
  // A capability that the identity was not granted is not announced in its name (A13).
  const granted = who.capabilities;
  if (card.capabilities.some((c) => !granted.includes(c.name))) return undefined;
  return { card, principal: who };
}
