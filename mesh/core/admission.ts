// Admission under overload: as a desk fills, the less urgent are turned away first.
import type { urgencyOf } from "../../contracts/index.ts";

/** Share of the desk that each urgency class may fill: most urgent first. Guess. */
const SHARES = [1, 0.9, 0.8] as const;

/** How many more tasks of this class a desk of `most` takes with `open` on it. */
export function roomFor(urgency: ReturnType<typeof urgencyOf>, open: number, most: number): number {
  return Math.max(0, Math.floor(most * SHARES[urgency]) - open);
}
