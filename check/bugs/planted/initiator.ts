// Bugs of initiators: awards that nobody earned, tasks that are dropped, ends that never come.
import type { Bug } from "../patch.ts";

const STEP = "mesh/core/initiator.ts";
const MOVES = "mesh/core/initiator-moves.ts";
const DESK = "mesh/runtime/initiators.ts";

export const initiator: readonly Bug[] = [
  {
    name: "award-without-bid",
    about: "the award goes to whoever stands first in the registry, bid or no bid",
    patches: [
      {
        file: DESK,
        find: "return this.#award(entry, effect.to, effect.bid, effect.order);",
        replace:
          "const to = first(this.#d.registry.find(t.spec.capability)) ?? effect.to;\n" +
          "        return this.#award(entry, to, effect.bid, effect.order);",
      },
      {
        file: DESK,
        find: "export class Initiators {",
        replace:
          "function first(cards: readonly { principal: string; agent: string }[]) {\n" +
          '  const card = cards.find((c) => c.principal.endsWith("-picky"));\n' +
          '  return card && [card.principal, card.agent].join(".");\n}\n\n' +
          "export class Initiators {",
      },
    ],
    invariants: ["S7"],
    hunt: ["plain"],
  },
  {
    name: "worst-bid-wins",
    about: "the order of the policy is turned round",
    patches: [
      {
        file: "mesh/core/policy.ts",
        find: "order.sort((a, b) => a.score - b.score);",
        replace: "order.sort((a, b) => b.score - a.score);",
      },
    ],
    invariants: ["S7"],
    hunt: ["plain"],
  },
  {
    name: "policy-exchanged",
    about: "another policy than the spec's decides",
    patches: [
      {
        file: MOVES,
        find:
          'const policy = c.policy(t.spec.award?.policy ?? "balanced");\n' +
          "  if (policy === undefined) return [];",
        replace: "const policy = (bids: readonly ScoredBid[]) => bids.map((b) => -b.bid.cost);",
      },
    ],
    invariants: ["S7"],
    hunt: ["plain"],
  },
  {
    name: "excluded-awarded",
    about: "an agent that the submitter ruled out gets the task",
    patches: [
      {
        file: STEP,
        find: "return t.spec.exclude === undefined || !t.spec.exclude.includes(from);",
        replace: "return true;",
      },
      {
        file: "mesh/runtime/tender.ts",
        find: "if (spec.exclude !== undefined) cfp.exclude = spec.exclude;",
        replace: "",
      },
    ],
    invariants: ["S7"],
    hunt: ["plain"],
  },
  {
    name: "attempts-not-counted",
    about: "attempts are not counted: a failing task is tried for ever",
    patches: [
      {
        file: MOVES,
        find: "if (made >= attempts) {",
        replace: "if (t.epoch >= attempts + 4) {",
      },
    ],
    invariants: ["S14"],
    hunt: ["retries"],
  },
  {
    name: "failure-not-acted-on",
    about: "a failed attempt is noted and nothing follows from it",
    patches: [{ file: STEP, find: "  nextAttempt(t, e.failure, c);", replace: "" }],
    invariants: ["S13", "L1", "L2", "L4"],
    hunt: ["retries"],
  },
  {
    name: "deadline-forgotten",
    about: "a task whose time is up goes on waiting",
    patches: [
      {
        file: STEP,
        find: 'if (c.wall >= t.spec.deadline && t.phase !== "ending") return expire(t, c);',
        replace: "",
      },
    ],
    invariants: ["L1", "S13"],
    hunt: ["expiry"],
  },
  {
    name: "expires-early",
    about: "a task is given up long before its deadline",
    patches: [
      {
        file: STEP,
        find: "if (c.wall >= t.spec.deadline && ",
        replace: "if (c.wall >= t.spec.deadline - 59_500 && ",
      },
    ],
    invariants: ["S3"],
    hunt: ["deaf"],
  },
  {
    name: "cancel-ignored",
    about: "initiators take note of a cancel and do nothing",
    patches: [
      {
        file: STEP,
        find: '  withdraw(t, e.reason, true, c);\n  end(t, "canceled"',
        replace: '  if (t.rev > 0) return;\n  end(t, "canceled"',
      },
      {
        file: "mesh/runtime/stray-cancels.ts",
        find: "if (view.outcome !== undefined || cancel === undefined) return;",
        replace: "if (view.rev > 0) return;",
      },
    ],
    invariants: ["L1", "S13", "L4"],
    hunt: ["cancels"],
  },
  {
    name: "alive-not-heard",
    about: "a contractor that answers is given up all the same",
    patches: [
      {
        file: "mesh/runtime/watch.ts",
        find: 'if (found.is === "alive") return this.#hooks.seen(entry, contractor, aware);',
        replace: 'if (found.is === "alive") return this.#hooks.gone(entry, epoch, "too slow");',
      },
    ],
    invariants: ["revoked"],
    hunt: ["deaf"],
  },
  {
    name: "lease-by-own-clock",
    about: "a contract is taken back when the initiator's own clock says so, unasked and untold",
    patches: [
      {
        file: STEP,
        find:
          "if (t.contractor !== undefined) " +
          'c.out.push({ do: "probe", contractor: t.contractor });',
        replace:
          '  return nextAttempt(t, failureOf("E_LOST", "its lease is over by this clock"), c);',
      },
    ],
    invariants: ["S3"],
    hunt: ["deaf"],
  },
  {
    name: "silence-trusted",
    about: "nobody asks after a contractor that has fallen silent",
    patches: [
      {
        file: STEP,
        find: "if (quiet < suspectMs) return arm(",
        replace: "if (quiet < 1e9) return arm(",
      },
    ],
    invariants: ["L1", "L4", "S13"],
    hunt: ["liar"],
  },
  {
    name: "done-believed",
    about: "a contractor's word that the outcome is stored is not looked up",
    patches: [
      {
        file: "mesh/runtime/confirmations.ts",
        find: "this.#queue({ key, tries: 0, then }, GATHER_MS);",
        replace: "void { key, GATHER_MS };\n    then(true);",
      },
    ],
    invariants: ["S13", "L1"],
    hunt: ["liar"],
  },
];
