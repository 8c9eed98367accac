// What is on offer to whom, and who leaves offers unanswered. A task on offer is held back from all
// others for a moment: whoever asks for work and never answers would hold back all that waits.
import { OFFER_HOLD_MS } from "../../contracts/index.ts";

/** Who has left so many unanswered in a row gets one at a time, after a pause that doubles, ms.
 * Guesses: a few lost messages are no silence, and a link that was away is back within seconds. */
const PAUSE_MS = OFFER_HOLD_MS;
const PAUSE_MS_MAX = 5_000;

interface Asker {
  /** When each of its open offers is void. */
  until: number[];
  /** Unanswered in a row. */
  silent: number;
  pauseMs: number;
  pausedUntil: number;
}

export interface OfferLimits {
  /** Open at a time. */
  open: number;
  /** Unanswered in a row before there is a pause. */
  silent: number;
  /** Askers that are remembered; who was offered something the longest ago is forgotten. */
  askers: number;
}

export class OpenOffers {
  readonly #limits: OfferLimits;
  readonly #askers = new Map<string, Asker>();

  constructor(limits: OfferLimits) {
    this.#limits = limits;
  }

  /** Askers with something open, or who left something unanswered. */
  get size(): number {
    return this.#askers.size;
  }

  /** How much it may be offered now, of so much that it asks for. */
  room(who: string, wanted: number, now: number): number {
    const asker = this.#askers.get(who);
    if (asker === undefined) return Math.min(wanted, this.#limits.open);
    this.#lapse(asker, now);
    if (now < asker.pausedUntil) return 0;
    const most = asker.silent >= this.#limits.silent ? 1 : this.#limits.open;
    return Math.max(0, Math.min(wanted, most - asker.until.length));
  }

  offered(who: string, now: number): void {
    const asker = this.#askers.get(who) ?? {
      until: [],
      silent: 0,
      pauseMs: PAUSE_MS,
      pausedUntil: 0,
    };
    this.#askers.delete(who);
    const [oldest] = this.#askers.size >= this.#limits.askers ? this.#askers.keys() : [];
    if (oldest !== undefined) this.#askers.delete(oldest);
    this.#askers.set(who, asker);
    this.#lapse(asker, now);
    asker.until.push(now + OFFER_HOLD_MS);
  }

  /** It said something, whatever it was. */
  answered(who: string): void {
    const asker = this.#askers.get(who);
    if (asker === undefined) return;
    asker.until.shift();
    asker.silent = 0;
    asker.pauseMs = PAUSE_MS;
    asker.pausedUntil = 0;
    if (asker.until.length === 0) this.#askers.delete(who);
  }

  #lapse(asker: Asker, now: number): void {
    const open = asker.until.findIndex((until) => until > now);
    const lapsed = open < 0 ? asker.until.length : open;
    if (lapsed === 0) return;
    asker.until.splice(0, lapsed);
    asker.silent += lapsed;
    if (asker.silent < this.#limits.silent) return;
    asker.pausedUntil = now + asker.pauseMs;
    asker.pauseMs = Math.min(PAUSE_MS_MAX, 2 * asker.pauseMs);
  }
}
