// Bugs of those who carry on: what the records say is not looked at, or not believed.
import type { Bug } from "../patch.ts";

const STEP = "mesh/core/initiator.ts";
const DESK = "mesh/runtime/initiators.ts";

export const adoption: readonly Bug[] = [
  {
    name: "spec-acked-early",
    about: "the spec is acknowledged when it is taken, so nobody adopts it afterwards",
    patches: [
      {
        file: DESK,
        find: '    this.#feed(entry, { on: "begin" });\n  }\n\n  #turnAway',
        replace:
          '    entry.receipt?.ack();\n    this.#feed(entry, { on: "begin" });\n  }\n\n  #turnAway',
      },
    ],
    invariants: ["S13", "L1"],
    hunt: ["adoptions"],
  },
  {
    name: "contract-ignored",
    about: "a successor starts afresh although a contract is open",
    patches: [
      {
        file: STEP,
        find: "if (view.contractOpen && t.contractor !== undefined) {",
        replace: "if (view.contractOpen && t.contractor === undefined) {",
      },
    ],
    invariants: ["S3"],
    hunt: ["adoptions"],
  },
  {
    name: "outcome-ignored",
    about: "a successor starts afresh although the task has ended",
    patches: [
      { file: STEP, find: "  if (view.outcome !== undefined) return close(t, c);", replace: "" },
    ],
    invariants: ["S2"],
    hunt: ["adoptions"],
  },
  {
    name: "last-record-skipped",
    about: "the fold leaves out the newest record, as a stale read would",
    patches: [
      {
        file: "mesh/core/task-view.ts",
        find: "for (const record of records) {",
        replace: "for (const record of records.slice(0, Math.max(1, records.length - 1))) {",
      },
    ],
    invariants: ["S13", "L1", "S2", "S3"],
    hunt: ["adoptions"],
  },
];
