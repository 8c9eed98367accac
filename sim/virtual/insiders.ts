// Insiders of a simulated world: they have credentials and a contractor's rights, and abuse them.
// One offers its services, wins contracts, lies that it is done, and stores results of contracts
// that were taken from it; the other never bids, and writes under tasks of others. Neither keeps a
// history: what they store is not held against the mesh.
import {
  type Author,
  cancelBody,
  FORGED_ID,
  forgeRecord,
  outcomeBody,
  ownClaim,
} from "../../check/bugs/forgery.ts";
import {
  type Contract,
  directedSubject,
  type EmbeddedAward,
  NOBODY,
  NONCE_HEADER,
  type RecordKey,
} from "../../contracts/index.ts";
import type { Prng } from "../../mesh/core/prng.ts";
import type { Signer, StoredRecord } from "../../mesh/ports/index.ts";
import { msgpackBytes } from "../../mesh/runtime/codec/encode-own.ts";
import type { VirtualHost } from "./hosts.ts";
import type { World } from "./world.ts";

export const LIAR = "mallory";
/** Never bids. */
export const FORGER = "mallory-picky";
export const INSIDER_AGENT = "w";

/** Who reports on the run must not count it; the mesh does not see this. */
export function isForged(record: StoredRecord): boolean {
  return record.header(NONCE_HEADER)?.startsWith(FORGED_ID) === true;
}

/** How long a forged claim stands before the forged result follows, ms. */
const THEN_MS = 150;
/** How long a liar plays dead, ms: until it is given up. */
const DEAD_MS = 4_000;

interface Insider {
  host: VirtualHost;
  signer: Signer;
}

interface Stored {
  key: RecordKey;
  rev: number;
  body: Uint8Array;
}

export class Insiders {
  readonly #world: World;
  readonly #prng: Prng;
  readonly #share: number;
  readonly #liar: Insider;
  readonly #forger: Insider;
  /** Contracts that the liar held: by task, its epoch and award. */
  #held = new Map<string, { epoch: number; award: EmbeddedAward }>();
  #over = false;
  /** Deeds done. */
  deeds = 0;

  /** @param share of the records that one of them reacts to, 0 to 1 */
  constructor(world: World, share: number, liar: Insider, forger: Insider) {
    this.#world = world;
    this.#prng = world.random.fork("insiders");
    this.#share = share;
    this.#liar = liar;
    this.#forger = forger;
  }

  stop(): void {
    this.#over = true;
  }

  /** Reacts, now and then, to a record that somebody stored. */
  stored({ key, rev, body }: Stored): void {
    if (this.#over) return;
    const acts = this.#prng.next() < this.#share;
    if (key.kind === "spec") return acts ? this.#claim(key, rev, body) : undefined;
    if (key.kind !== "contract") return;
    const contract = JSON.parse(Buffer.from(body).toString()) as Contract;
    if (key.fromPrincipal === LIAR) {
      this.#held.set(`${key.owner}.${key.task}`, contract);
      return acts ? this.#lie(key, rev, contract) : undefined;
    }
    if (key.fromPrincipal === FORGER) return;
    const mine = this.#held.get(`${key.owner}.${key.task}`);
    if (mine !== undefined && mine.epoch < contract.epoch) return this.#late(key, rev, mine);
    if (acts) this.#forge(key, rev, contract);
  }

  #author({ host, signer }: Insider): Author {
    return { name: host.name, agent: INSIDER_AGENT, signer };
  }

  #say(by: Insider, subject: string, bytes: Uint8Array, headers?: Record<string, string>): void {
    this.deeds++;
    by.host.transport?.publish(subject, bytes, headers === undefined ? {} : { headers });
  }

  #write(
    by: Insider,
    place: Omit<RecordKey, "fromPrincipal" | "fromAgent">,
    body: object,
    fence?: number,
  ): void {
    const at = Math.round(by.host.clock.wall());
    const forged = forgeRecord(this.#author(by), place, body, at, fence);
    this.#say(by, forged.subject, forged.bytes, forged.headers);
  }

  /** Claims a task under an award of its own making, and then says that it is done. */
  #claim(key: RecordKey, rev: number, body: Uint8Array): void {
    const spec = JSON.parse(Buffer.from(body).toString()) as { capability: string };
    const by = this.#forger;
    const at = Math.round(by.host.clock.wall());
    const { owner, task } = key;
    const submitter = `${key.fromPrincipal}.${key.fromAgent}`;
    const { claim, award } = ownClaim(this.#author(by), {
      owner,
      task,
      submitter,
      capability: spec.capability,
      initiator: "i0.main",
      rev,
      at,
    });
    const place = { owner, task, n: "1", toPrincipal: "i0", toAgent: "main" };
    this.#write(by, { ...place, kind: "contract" }, claim, rev);
    this.#world.after(THEN_MS, () => {
      if (this.#over) return;
      this.#write(by, { ...place, kind: "outcome" }, outcomeBody(task, 1, at, award));
    });
  }

  /** A result, or a cancel, under the running contract of somebody else. */
  #forge(key: RecordKey, rev: number, { epoch }: Contract): void {
    const { owner, task, toPrincipal, toAgent } = key;
    const fence = this.#prng.next() < 0.5 ? rev : undefined;
    const at = Math.round(this.#forger.host.clock.wall());
    if (this.#prng.next() < 0.5) {
      const place = { owner, task, kind: "outcome" as const, n: String(epoch) };
      const body = outcomeBody(task, epoch, at);
      return this.#write(this.#forger, { ...place, toPrincipal, toAgent }, body, fence);
    }
    const place = { owner, task, kind: "cancel" as const, n: "0-9" };
    const to = { toPrincipal: NOBODY, toAgent: NOBODY };
    this.#write(this.#forger, { ...place, ...to }, cancelBody(task, at), fence);
  }

  /** Says that it is done, has stored nothing, and is not heard of any more. */
  #lie(key: RecordKey, rev: number, { epoch, initiator }: Contract): void {
    const { owner, task } = key;
    const done = { v: 1, kind: "done", owner, task, epoch, state: "completed", rev: rev + 1 };
    const from = `${LIAR}.${INSIDER_AGENT}`;
    this.#say(this.#liar, directedSubject("msg", initiator, from), msgpackBytes(done));
    this.#liar.host.pause();
    this.#world.after(DEAD_MS, () => this.#liar.host.resume());
  }

  /** Stores a result under a contract that somebody else holds by now, with its true, old award. */
  #late(key: RecordKey, rev: number, mine: { epoch: number; award: EmbeddedAward }): void {
    const { owner, task, toPrincipal, toAgent } = key;
    const at = Math.round(this.#liar.host.clock.wall());
    const place = { owner, task, kind: "outcome" as const, n: String(mine.epoch) };
    const body = outcomeBody(task, mine.epoch, at, mine.award);
    this.#write(this.#liar, { ...place, toPrincipal, toAgent }, body, rev);
  }
}
