// Bugs of fencing: writes that are held to nothing, or to the wrong revision.
import type { Bug } from "../patch.ts";

const LEDGER = "mesh/nats/ledger.ts";
const RECORDS = "mesh/runtime/records.ts";
const CONTRACTORS = "mesh/runtime/contractors.ts";

/** The server is told nothing, and the signature says so, so that readers find no flaw. */
function unfenced(kind: string): Bug["patches"] {
  return [
    {
      file: RECORDS,
      find: "const at = Math.round(d.clock.wall());",
      replace: `if (key.kind === "${kind}") fence = -1; const at = Math.round(d.clock.wall());`,
    },
    {
      file: LEDGER,
      find: "[FENCE_HEADER]: String(guard),",
      replace: "...(guard < 0 ? {} : { [FENCE_HEADER]: String(guard) }),",
    },
    {
      file: LEDGER,
      find: "[GUARD_HEADER]: taskGuard(key.owner, key.task),",
      replace: "...(guard < 0 ? {} : { [GUARD_HEADER]: taskGuard(key.owner, key.task) }),",
    },
  ];
}

export const fencing: readonly Bug[] = [
  {
    name: "no-fence-header",
    about: "no write says which revision it must follow",
    patches: [
      { file: LEDGER, find: "[FENCE_HEADER]: String(guard),", replace: "" },
      {
        file: LEDGER,
        find: "[GUARD_HEADER]: taskGuard(key.owner, key.task),",
        replace: "",
      },
      {
        file: RECORDS,
        find: "preimage(recordSubject(key), fence, at, id, body)",
        replace: "preimage(recordSubject(key), -1, at, id, body)",
      },
    ],
    invariants: ["S5", "S4", "S2", "S3"],
    hunt: ["frozen"],
  },
  {
    name: "outcome-unfenced",
    about: "an outcome is stored whatever the task's revision is",
    patches: unfenced("outcome"),
    invariants: ["S5", "S4", "S2"],
    hunt: ["frozen"],
  },
  {
    name: "claims-unfenced-two-awards",
    about: "two agents are awarded at once, and claims are held to nothing: both run",
    patches: [
      ...unfenced("contract"),
      {
        file: "mesh/core/initiator-moves.ts",
        find: 'c.out.push({ do: "award", to: bid.from, bid, order: t.order });',
        replace:
          "for (const b of t.order.slice(0, 2)) " +
          'c.out.push({ do: "award", to: b.from, bid: b, order: t.order });',
      },
    ],
    invariants: ["S3", "S5"],
    hunt: ["plain"],
  },
  {
    name: "guard-own-key",
    about: "a write is held to its own key instead of the whole task",
    patches: [
      {
        file: RECORDS,
        find: "const at = Math.round(d.clock.wall());",
        replace: "fence = 0; const at = Math.round(d.clock.wall());",
      },
      {
        file: LEDGER,
        find: "[GUARD_HEADER]: taskGuard(key.owner, key.task),",
        replace: "[GUARD_HEADER]: recordSubject(key),",
      },
    ],
    invariants: ["S5", "S3", "S4", "S2"],
    hunt: ["frozen"],
  },
  {
    name: "refused-commit-refenced",
    about: "a refused commit is repeated under the revision that the refusal names",
    patches: [
      {
        file: CONTRACTORS,
        find: "      if (!result.ok) {\n        this.#refused(run, result.fault);\n        return;",
        replace:
          '      if (!result.ok) {\n        if (result.fault === "conflict" && result.rev) {' +
          " run.over = false; " +
          "run.rev = result.rev; return this.#commit(run, outcome, output, workedMs); }\n" +
          "        this.#refused(run, result.fault);\n        return;",
      },
    ],
    invariants: ["S5", "S4", "S2"],
    hunt: ["frozen"],
  },
  {
    name: "epoch-not-counted",
    about: "the next award carries the epoch of the last one",
    patches: [
      {
        file: "mesh/runtime/tender.ts",
        find: "epoch: t.epoch + 1,",
        replace: "epoch: Math.max(1, t.epoch),",
      },
    ],
    invariants: ["S3", "S13", "L1"],
    hunt: ["retries"],
  },
];
