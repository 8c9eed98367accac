// Alternatives of a spec, in the order of trying: tier 0 is the task as it was asked for.
import type { Spec } from "../../contracts/index.ts";

/** The spec as one tier reads it; undefined where there is no such tier. What an alternative does
 * not say it does not inherit: another capability has its own versions, needs and sizes. */
export function specOfTier(spec: Spec, tier: number): Spec | undefined {
  if (tier === 0) return spec;
  const alternative = spec.otherwise?.[tier - 1];
  if (alternative === undefined) return undefined;
  const { version: _v, requires: _r, hints: _h, award: _a, to: _t, only: _o, ...common } = spec;
  return { ...common, ...alternative };
}

/** Does this tier's capability stand at that place of the spec? */
export function offers(spec: Spec, tier: number, capability: string): boolean {
  return specOfTier(spec, tier)?.capability === capability;
}
