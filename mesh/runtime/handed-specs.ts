// Specs that the store hands to this peer. A proven one goes on the desk; one that can never be
// proven is acknowledged; one whose author cannot be found now is handed back, later each time.
import { CLOCK_SKEW_MS, DEADLINE_MS_MAX, failure, type Spec } from "../../contracts/index.ts";
import type { ReadRecord } from "../core/task-view.ts";
import type { SpecDelivery } from "../ports/index.ts";
import { checkParent } from "./authority.ts";
import type { Deps } from "./dependencies.ts";
import type { Initiators } from "./initiators.ts";

/** What cannot be read now is handed out again after this, ms. */
const AGAIN_MS = 1_000;
/** Tries for a spec whose author cannot be found, each after twice as long: an hour in all. A copy
 * of the keys that lags is up to date within seconds; who lost his key may come back. Guess. */
const TRIES_MAX = 12;
/** Between the last two, ms. */
const LONGEST_MS = AGAIN_MS * 2 ** (TRIES_MAX - 1);
/** Specs whose tries are counted; those beyond come back seldom until there is room. */
const DOUBTED_MAX = 20_000;

const TOO_LATE = "the deadline is more than 30 days away: is the submitter's clock ahead?";

interface Doubted {
  tries: number;
  /** If it has not come by then, somebody else has it, on the same clock. */
  until: number;
}

export class HandedSpecs {
  readonly #d: Deps;
  readonly #initiators: Initiators;
  /** By revision; who was handed out again the longest ago first. */
  #doubted = new Map<number, Doubted>();

  constructor(dependencies: Deps, initiators: Initiators) {
    this.#d = dependencies;
    this.#initiators = initiators;
  }

  on(delivery: SpecDelivery): void {
    const { inbound, log, records } = this.#d;
    const later = () => delivery.receipt.release(AGAIN_MS);
    const then = (record: ReadRecord) => {
      this.#doubted.delete(delivery.rev);
      if (this.#isTooLate(record.body as Spec, delivery)) {
        inbound.reject("record.spec", "E_SCHEMA");
        return this.#initiators.refuse(record, delivery, failure("E_SCHEMA", TOO_LATE));
      }
      if (delivery.key.owner === delivery.key.fromPrincipal) {
        return this.#initiators.accept(record, delivery);
      }
      void checkParent(records, delivery.key, record).then((fault) => {
        if (fault === undefined) return this.#initiators.accept(record, delivery);
        inbound.reject("record.spec", "E_AUTHORITY");
        log.warn({ task: delivery.key.task, fault }, "sub-task without authority");
        this.#initiators.refuse(record, delivery, failure("E_AUTHORITY", fault));
      }, later);
    };
    const otherwise = (unread: boolean, unknown?: Spec) => {
      if (unread) return later();
      if (unknown !== undefined) return this.#doubt(delivery, unknown);
      // It will never be sound: it is counted and not handed on.
      delivery.receipt.ack();
    };
    records.onSpec(delivery, then, otherwise);
  }

  #isTooLate({ deadline }: Spec, { storedAt }: SpecDelivery): boolean {
    const date = Math.max(this.#d.clock.wall(), storedAt);
    return deadline > date + DEADLINE_MS_MAX + CLOCK_SKEW_MS;
  }

  /** Nobody is its author, or a copy of the keys lags, or his key was lost and he is away. */
  #doubt(delivery: SpecDelivery, { at, deadline }: Spec): void {
    const { clock, counters, log } = this.#d;
    const { rev, receipt } = delivery;
    const tries = this.#doubted.get(rev)?.tries ?? 0;
    // By the time that it was given, not by the date: clocks may be off.
    const leftMs = deadline - at - AGAIN_MS * (2 ** tries - 1);
    this.#doubted.delete(rev);
    if (tries >= TRIES_MAX || leftMs <= 0) {
      counters.add("specs.nobodys");
      const { owner, task, fromPrincipal, fromAgent } = delivery.key;
      const about = { owner, task, author: `${fromPrincipal}.${fromAgent}` };
      log.warn(about, "a spec whose author cannot be found is given up");
      return receipt.ack();
    }
    if (!this.#hasRoom()) return receipt.release(LONGEST_MS);
    const afterMs = Math.min(AGAIN_MS * 2 ** tries, leftMs);
    this.#doubted.set(rev, { tries: tries + 1, until: clock.now() + 2 * LONGEST_MS });
    receipt.release(afterMs);
  }

  #hasRoom(): boolean {
    if (this.#doubted.size < DOUBTED_MAX) return true;
    for (const [rev, { until }] of this.#doubted) {
      return this.#d.clock.now() >= until && this.#doubted.delete(rev);
    }
    return false;
  }
}
