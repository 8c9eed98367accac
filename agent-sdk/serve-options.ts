// How a capability is served, checked before anything is announced.
import { ParleyError, TIMER_MS_MAX } from "../contracts/index.ts";
import type { BidTerms, Service } from "../mesh/index.ts";
import { checkTerms, type ServeTerms } from "./capability.ts";
import { checkKnown, type Known } from "./known-options.ts";

export interface ServeOptions extends ServeTerms {
  /**
   * The agent's own bid for a call: terms that replace the usual ones, or undefined for none.
   * Called for every call for proposals, so it must be quick and may not wait.
   */
  bid?:
    | Service["bid"]
    | ((...args: Parameters<NonNullable<Service["bid"]>>) => Partial<BidTerms> | undefined);
  /**
   * Longest that one attempt may take, ms, whatever it waits for included; by default as long as
   * the task has. Then the handler's signal is aborted, the attempt has failed, and the mesh tries
   * again, preferring agents that have not failed it.
   */
  limitMs?: number;
}

const KNOWN: Known<ServeOptions> = {
  slots: true,
  rate: true,
  cost: true,
  durationMs: true,
  attributes: true,
  bid: true,
  limitMs: true,
};

const SLOTS_MAX = 10_000;

/** @throws ParleyError E_SCHEMA, naming the option */
export function checkServe(name: string, options: ServeOptions): void {
  checkKnown<ServeOptions>(`serve(${name})`, options, KNOWN);
  checkTerms(name, options);
  const { slots = 1, limitMs = 1, bid } = options;
  if (!(Number.isInteger(slots) && slots >= 1 && slots <= SLOTS_MAX)) {
    throw new ParleyError("E_SCHEMA", `slots of ${name} must be 1 to ${SLOTS_MAX}, not ${slots}`);
  }
  if (!(limitMs > 0 && limitMs <= TIMER_MS_MAX)) {
    const range = `above 0 and at most ${TIMER_MS_MAX}`;
    throw new ParleyError("E_SCHEMA", `limitMs of ${name} must be ${range}, not ${limitMs}`);
  }
  if (bid !== undefined && typeof bid !== "function") {
    throw new ParleyError("E_SCHEMA", `bid of ${name} must be a function: (call, usual) => terms`);
  }
}
