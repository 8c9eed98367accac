// All planted bugs. Each is a small patch to the product that the checker has to find.
import type { Bug } from "./patch.ts";
import { adoption } from "./planted/adoption.ts";
import { contractor } from "./planted/contractor.ts";
import { fencing } from "./planted/fencing.ts";
import { initiator } from "./planted/initiator.ts";
import { trust } from "./planted/trust.ts";

export const BUGS: readonly Bug[] = [
  ...fencing,
  ...contractor,
  ...initiator,
  ...adoption,
  ...trust,
];

/** @throws Error when there is none of that name */
export function bugNamed(name: string): Bug {
  const bug = BUGS.find((b) => b.name === name);
  if (bug !== undefined) return bug;
  const known = BUGS.map((b) => b.name).join(", ");
  throw new Error(`no planted bug "${name}"; known: ${known}`);
}
