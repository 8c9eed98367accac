// The link between one host and the broker: two lanes of messages, each in order, late by a draw.
//
// A lane loses, repeats and overtakes single messages only when told to: TCP does none of it, a
// proxy that is up to no good does all of it (chaos/proxy). A cut lane holds back what it is given
// and lets go of it when it is mended, as TCP does; whoever loses patience first drops the link,
// and with it what was held.
import type { Prng } from "../../mesh/core/prng.ts";
import { onGrid } from "./queue.ts";
import type { World } from "./world.ts";

export interface LinkQuality {
  /** Shortest way of a message, ms. */
  latencyMs: number;
  /** Mean of what comes on top, ms; exponential. */
  jitterMs: number;
  /** Shares of messages, 0 to 1. */
  loss: number;
  duplicate: number;
  reorder: number;
  /** Said once more later: up to REPLAYED_MS. */
  replay?: number;
}

/** One site: a tenth of a millisecond each way. Origin: guess, near the loopback of the bench. */
export const LOCAL: LinkQuality = {
  latencyMs: 0.08,
  jitterMs: 0.04,
  loss: 0,
  duplicate: 0,
  reorder: 0,
};

/** How much later a message is said once more, ms at most. Guess. */
const REPLAYED_MS = 5_000;
/** How much later than its turn a message that is overtaken comes, ms at most. Guess. */
const OVERTAKEN_MS = 5;
/** First repeat of a packet by TCP, ms: the least that Linux waits. */
const RETRANSMIT_MS = 200;

/** What waits at a cut: of this connection, or the end of one before, which holds nobody up. */
interface Held {
  run: () => void;
  kind: "plain" | "sure" | "end";
  extraMs: number;
}

export class Lane {
  readonly #world: World;
  readonly #prng: Prng;
  #quality: LinkQuality;
  #lastAt = 0;
  #cut = false;
  #cutAt = 0;
  #held: Held[] = [];
  /** Connections that were reset on this lane: what is sent on one of before reaches nobody. */
  era = 0;

  constructor(world: World, prng: Prng, quality: LinkQuality) {
    this.#world = world;
    this.#prng = prng;
    this.#quality = quality;
  }

  get isCut(): boolean {
    return this.#cut;
  }

  set quality(quality: LinkQuality) {
    this.#quality = quality;
  }

  /** A message; `arrive` is called when it is there, never, or twice. */
  send(arrive: () => void, extraMs = 0): void {
    if (this.#cut) return void this.#held.push({ run: arrive, kind: "plain", extraMs });
    const { loss, duplicate, reorder, replay = 0 } = this.#quality;
    if (replay > 0 && this.#prng.next() < replay) {
      this.#world.after(this.#prng.next() * REPLAYED_MS, () => {
        if (!this.#cut) arrive();
      });
    }
    if (loss > 0 && this.#prng.next() < loss) return;
    if (duplicate > 0 && this.#prng.next() < duplicate) this.#pass(arrive, extraMs);
    if (reorder > 0 && this.#prng.next() < reorder) {
      const at = this.#arrival(extraMs) + this.#prng.next() * OVERTAKEN_MS;
      return this.#world.at(at, arrive);
    }
    this.#pass(arrive, extraMs);
  }

  /** What the connection itself rests on: in order, and lost only with the link. */
  sendSurely(arrive: () => void): void {
    if (this.#cut) return void this.#held.push({ run: arrive, kind: "sure", extraMs: 0 });
    this.#pass(arrive, 0);
  }

  /** That this connection is over: after all that it said, and holding up nothing of the next. */
  sendEnd(arrive: () => void): void {
    if (this.#cut) return void this.#held.push({ run: arrive, kind: "end", extraMs: 0 });
    this.#world.at(this.#arrival(0), arrive);
  }

  #arrival(extraMs: number): number {
    const { latencyMs, jitterMs } = this.#quality;
    const jitter = jitterMs > 0 ? -Math.log(1 - this.#prng.next()) * jitterMs : 0;
    return Math.max(this.#lastAt, this.#world.now + latencyMs + jitter + extraMs);
  }

  #pass(arrive: () => void, extraMs: number): void {
    this.#lastAt = onGrid(this.#arrival(extraMs));
    this.#world.at(this.#lastAt, arrive);
  }

  cut(): void {
    if (this.#cut) return;
    this.#cut = true;
    this.#cutAt = this.#world.now;
  }

  /** What was held arrives with TCP's next repeat: the longer it was cut, the later. */
  mend(): void {
    if (!this.#cut) return;
    this.#cut = false;
    const held = this.#held.splice(0);
    if (held.length === 0) return;
    const wait = Math.max(RETRANSMIT_MS, this.#world.now - this.#cutAt) * this.#prng.next();
    if (held.some(({ kind }) => kind !== "end")) {
      this.#lastAt = Math.max(this.#lastAt, this.#world.now + wait);
    }
    for (const { run, kind, extraMs } of held) {
      if (kind === "plain") this.send(run, extraMs);
      else if (kind === "sure") this.#pass(run, 0);
      else this.#world.at(Math.max(this.#lastAt, this.#world.now + wait), run);
    }
  }

  /** The process at this end is gone. What it said is still sent, and holds up nobody after it. */
  orphan(): void {
    this.#held = this.#held.map((held) => ({ ...held, kind: "end" }));
    this.#lastAt = this.#world.now;
  }

  /** The connection ended: nothing of it arrives any more but that it did. */
  reset(): void {
    this.era++;
    this.#held = this.#held.filter(({ kind }) => kind === "end");
    this.#lastAt = this.#world.now;
  }
}

/** Both lanes of a host. */
export class LinkPair {
  /** From the host to the broker. */
  readonly up: Lane;
  /** From the broker to the host. */
  readonly down: Lane;

  constructor(world: World, prng: Prng, quality: LinkQuality = LOCAL) {
    this.up = new Lane(world, prng.fork("up"), quality);
    this.down = new Lane(world, prng.fork("down"), quality);
  }

  get isOpen(): boolean {
    return !this.up.isCut && !this.down.isCut;
  }

  set quality(quality: LinkQuality) {
    this.up.quality = quality;
    this.down.quality = quality;
  }
}
