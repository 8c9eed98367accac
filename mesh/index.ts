// The mesh as a library: opens a peer on NATS. The one place where runtime and adapters meet.
import pino from "pino";
import {
  BOARD_BUCKET,
  ParleyError,
  type Role,
  TRIGGERS_BUCKET,
  WORKFLOWS_BUCKET,
} from "../contracts/index.ts";
import type { Policy } from "./core/policy.ts";
import { createPrng } from "./core/prng.ts";
import { NatsArtefacts } from "./nats/artefacts.ts";
import { NatsBucket } from "./nats/bucket.ts";
import { NatsCards } from "./nats/cards.ts";
import { type ConnectOptions, connectNats } from "./nats/connect.ts";
import { NatsEvents } from "./nats/events.ts";
import { NatsLedger } from "./nats/ledger.ts";
import { NatsSupervision } from "./nats/supervision.ts";
import { systemClock, systemRandom } from "./nats/system.ts";
import { NatsTransport } from "./nats/transport.ts";
import type { Bucket, EventLog, History, Log, Signer, Trust } from "./ports/index.ts";
import { Peer } from "./runtime/peer.ts";

export interface OpenOptions extends ConnectOptions {
  /** The authenticated name on the server. */
  principal: string;
  /** This peer's own agent name under that principal. */
  agent: string;
  role: Role;
  signer?: Signer;
  jwt?: string;
  /** Absent: signatures are neither made nor checked. Only for benches and closed set-ups. */
  trust?: Trust;
  /** Which of the role's rights to use; all of them when absent. */
  use?: Partial<Peer["options"]["roles"]>;
  policies?: Readonly<Record<string, Policy>>;
  log?: Log;
  /** Seeds draws among near-equal bids; never used for nonces or ids. */
  seed?: string | number;
  version?: string;
  silenceMs?: number;
  leaseMs?: number;
  shortTaskMs?: number;
  cardTtlS?: number;
  /** Records what this peer does and sees, for the checker. */
  history?: History;
  /** Aborted: a start that is still under way is given up, however long it waits for a server. */
  signal?: AbortSignal;
}

export interface OpenPeer {
  peer: Peer;
  transport: NatsTransport;
  ledger: NatsLedger;
  buckets: { board: Bucket; workflows: Bucket; triggers: Bucket };
  events: EventLog;
  close(graceMs?: number): Promise<void>;
}

function rolesOf(role: Role): Peer["options"]["roles"] {
  const agent = role === "agent" || role === "admin";
  return {
    contractor: agent || role === "contractor",
    initiator: agent || role === "initiator",
    submitter: agent || role === "submitter",
    intake: agent || role === "initiator",
  };
}

/** @param signal aborted: the start is given up @throws ParleyError */
async function startOrClose(
  peer: Peer,
  ledger: NatsLedger,
  transport: NatsTransport,
  signal: AbortSignal | undefined,
): Promise<void> {
  const giveUp = () => void transport.close().catch(() => undefined);
  if (signal?.aborted === true) giveUp();
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    await peer.start();
  } catch (error) {
    // Half started, it has timers already: they would keep the process from ending.
    await peer.stop(0).catch(() => undefined);
    ledger.stop();
    await transport.close().catch(() => undefined);
    if (error instanceof ParleyError) throw error;
    const why = signal?.aborted === true ? "the start was given up" : String(error);
    throw new ParleyError("E_CONNECTION", why, { cause: error });
  } finally {
    signal?.removeEventListener("abort", giveUp);
  }
}

/** Connects, subscribes and announces. Throws ParleyError E_CONNECTION or E_PERMISSION. */
export async function openPeer(o: OpenOptions): Promise<OpenPeer> {
  const log = o.log ?? defaultLog();
  const connection = await connectNats(o);
  const transport = new NatsTransport(connection);
  const prng = createPrng(o.seed ?? crypto.randomUUID());
  const random = systemRandom(() => prng.next());
  const mayRead = rolesOf(o.role).initiator;
  const ledger = new NatsLedger(transport, systemClock, o.principal, mayRead);
  const roles = { ...rolesOf(o.role), ...o.use };
  transport.onError(refusalLog(log));
  const peer = new Peer(
    {
      transport,
      ledger,
      clock: systemClock,
      random,
      log,
      ...(o.history === undefined ? {} : { history: o.history }),
      artefacts: new NatsArtefacts(transport, random),
      cards: new NatsCards(transport, systemClock, o.principal),
      ...(roles.initiator
        ? { supervision: new NatsSupervision(transport, systemClock, o.principal) }
        : {}),
    },
    {
      principal: o.principal,
      agent: o.agent,
      roles,
      ...pick(o, [
        "signer",
        "jwt",
        "trust",
        "policies",
        "version",
        "silenceMs",
        "leaseMs",
        "shortTaskMs",
        "cardTtlS",
      ]),
    },
  );
  await startOrClose(peer, ledger, transport, o.signal);
  const bucket = (name: string, echo: string) =>
    new NatsBucket(transport, systemClock, o.principal, name, echo);
  return {
    peer,
    transport,
    ledger,
    buckets: {
      board: bucket(BOARD_BUCKET, "mesh.board."),
      workflows: bucket(WORKFLOWS_BUCKET, ""),
      triggers: bucket(TRIGGERS_BUCKET, "mesh.trigger."),
    },
    events: new NatsEvents(transport, systemClock, o.principal),
    async close(graceMs?: number) {
      await peer.stop(graceMs);
      ledger.stop();
      await transport.close();
    },
  };
}

/** The same refusal is logged once and then at every power of two, so that it floods nothing. */
function refusalLog(log: Log): (error: Error) => void {
  const seen = new Map<string, number>();
  return (error) => {
    const times = (seen.get(error.message) ?? 0) + 1;
    if (seen.size < 1_000 || times > 1) seen.set(error.message, times);
    if ((times & (times - 1)) !== 0) return;
    log.warn({ error: error.message, times }, "the server refused something");
  };
}

function pick<T extends object, K extends keyof T>(from: T, names: readonly K[]): Pick<T, K> {
  const out: Partial<Pick<T, K>> = {};
  for (const name of names) if (from[name] !== undefined) out[name] = from[name];
  return out as Pick<T, K>;
}

/** JSON lines on standard error; seeds and tokens are never logged. */
export function defaultLog(level = process.env.PARLEY_LOG ?? "warn"): Log {
  return pino(
    { level, redact: ["seed", "jwt", "creds", "*.seed", "*.jwt"] },
    pino.destination({ dest: 2, sync: false }),
  ) as unknown as Log;
}

export type { Policy, ScoredBid, TaskFacts } from "./core/policy.ts";
export type { AgentDefinition, BidTerms, Run, RunResult, Service } from "./runtime/hosted-agent.ts";
export { Peer } from "./runtime/peer.ts";
export type { TaskOptions } from "./runtime/submitters.ts";
export type { TaskEvent, Tracker } from "./runtime/tracker.ts";
