// What an initiator says on the wire: calls, offers, withdrawals, and notices of its breakers.
import {
  type Address,
  bidReplySubject,
  breakerSubject,
  type CallRung,
  type Cfp,
  cfpSubject,
  directedSubject,
  WINDOW_MS_MAX,
} from "../../contracts/index.ts";
import type { BreakerChange } from "../core/breaker.ts";
import type { Effect, InitiatorTask } from "../core/initiator-task.ts";
import { msgpackBytes } from "./codec/encode-own.ts";
import type { Deps } from "./dependencies.ts";
import type { InitiatorOptions } from "./desk.ts";
import { cfpOf, withdrawalOf } from "./tender.ts";
import type { OfferedAs } from "./waiting-rooms.ts";

export class Voice {
  readonly #d: Deps;
  readonly #o: InitiatorOptions;

  constructor(dependencies: Deps, options: InitiatorOptions) {
    this.#d = dependencies;
    this.#o = options;
  }

  call(t: InitiatorTask, rung: CallRung): void {
    this.#d.counters.add(`calls.${rung}`);
    this.#d.transport.publish(
      cfpSubject(t.spec.capability, rung, this.#o.agent),
      msgpackBytes(this.#cfp(t)),
      { reply: bidReplySubject(this.#o.agent, t.cfp) },
    );
  }

  offer(t: InitiatorTask, to: Address, as: OfferedAs): void {
    this.#d.counters.add("offers");
    this.#d.transport.publish(
      directedSubject("offer", to, this.#o.agent),
      msgpackBytes({
        v: 1,
        kind: "offer",
        capability: t.spec.capability,
        ...as,
        call: this.#cfp(t),
      }),
    );
  }

  withdraw(t: InitiatorTask, w: Extract<Effect, { do: "withdraw" }>): void {
    this.#d.transport.publish(
      directedSubject("msg", w.contractor, this.#o.agent),
      msgpackBytes(withdrawalOf(t, w)),
    );
  }

  /** Told to whoever watches: a person, or code that prefers another capability meanwhile. */
  breaker(change: BreakerChange): void {
    const { capability, agent, principal, state, failures, why } = change;
    const whose =
      agent !== undefined ? "agent" : principal !== undefined ? "principal" : "capability";
    this.#d.counters.add(`breaker.${whose}.${state}`);
    if (state === "open") this.#d.counters.add(`breaker.${whose}.failures`, failures);
    const say = state === "open" ? "warn" : "info";
    this.#d.log[say](
      { capability, agent, principal, failures, why },
      state === "open"
        ? `breaker open: ${failures} failures in a row; only trials now and then until one succeeds`
        : "breaker closed",
    );
    this.#d.transport.publish(
      breakerSubject(capability, this.#o.agent),
      Buffer.from(
        JSON.stringify({ v: 1, kind: "breaker", at: Math.round(this.#d.clock.wall()), ...change }),
      ),
    );
  }

  #cfp(t: InitiatorTask): Cfp {
    const { capability, requires } = t.spec;
    const crowd = t.rung === "all" ? this.#d.fields.of(capability, requires).offering : undefined;
    return cfpOf(t, this.#o.windowMs ?? WINDOW_MS_MAX, crowd);
  }
}
