// Bugs of belief: signatures, authors and history that are taken on trust.
import type { Bug } from "../patch.ts";

const LAWFUL = "mesh/runtime/lawful.ts";
const VIEW = "mesh/core/task-view.ts";

export const trust: readonly Bug[] = [
  {
    name: "signature-unchecked",
    about: "any signature will do",
    patches: [
      {
        file: "mesh/runtime/identities.ts",
        find: "return trust.verify(key.publicKey, data, signature);",
        replace: "return true;",
      },
    ],
    invariants: ["S4", "S11", "S13", "L1", "S3"],
    hunt: ["hostile"],
  },
  {
    name: "author-unchecked",
    about: "a result counts whoever wrote it",
    patches: [
      {
        file: LAWFUL,
        find: 'const lawful = state === "completed" ? his : supervises(record.role);',
        replace: 'const lawful = state === "completed" || his || supervises(record.role);',
      },
      {
        file: VIEW,
        find: "return holds(view, record, outcome.epoch) ?",
        replace: "return outcome.epoch >= 0 ?",
      },
    ],
    invariants: ["S4", "S13", "L1"],
    hunt: ["hostile"],
  },
  {
    name: "old-epoch-counts",
    about: "a result of a contractor that was replaced is taken",
    patches: [
      {
        file: LAWFUL,
        find: "const his = record.terms !== undefined && from",
        replace: "const his = record.terms !== undefined || from",
      },
      {
        file: VIEW,
        find: "return holds(view, record, outcome.epoch) ?",
        replace: "return holds(view, record, outcome.epoch) || record.terms !== undefined ?",
      },
    ],
    invariants: ["S4", "S5", "S13", "L1"],
    hunt: ["ex-commit"],
  },
  {
    name: "cancel-by-anybody",
    about: "whoever may write a cancel may cancel anybody's task",
    patches: [
      {
        file: VIEW,
        find: 'if (record.from === submitter || record.role === "admin") return true;',
        replace: "if (record.from !== submitter || owner !== undefined) return true;",
      },
    ],
    invariants: ["S3"],
    hunt: ["hostile"],
  },
  {
    name: "record-without-note",
    about: "failures are stored and leave no trace in the history",
    patches: [
      {
        file: "mesh/runtime/records.ts",
        find: "const told = d.history === undefined ?",
        replace: 'const told = d.history === undefined || key.kind === "failure" ?',
      },
    ],
    invariants: ["S15"],
    hunt: ["retries"],
  },
  {
    name: "spec-altered",
    about: "what is stored is not what was submitted",
    patches: [
      {
        file: "mesh/runtime/records.ts",
        find: "        key,\n        body,\n        guard: fence,",
        replace:
          '        key,\n        body: key.kind !== "spec" ? body : Buffer.from(' +
          "Buffer.from(body).toString().replace('\"input\":', '\"input\": ')),\n" +
          "        guard: fence,",
      },
    ],
    invariants: ["S1", "S11"],
    hunt: ["frozen"],
  },
  {
    name: "chain-broken",
    about: "an outcome does not name the record that it follows",
    patches: [
      {
        file: "mesh/runtime/results.ts",
        find: "    retainMs: spec.retainMs ?? RETAIN_MS_DEFAULT,\n    prev: run.head,",
        replace: '    retainMs: spec.retainMs ?? RETAIN_MS_DEFAULT,\n    prev: "",',
      },
    ],
    invariants: ["S15"],
    hunt: ["retries"],
  },
];
