// Bugs of contractors: work that starts too soon, runs twice, or ends nowhere.
import type { Bug } from "../patch.ts";

const CONTRACTORS = "mesh/runtime/contractors.ts";

export const contractor: readonly Bug[] = [
  {
    name: "start-before-contract",
    about: "the handler starts while the claim is still on its way",
    patches: [
      {
        file: CONTRACTORS,
        find: "    this.#claim(run, award.bids);\n  }",
        replace: "    this.#claim(run, award.bids);\n    this.#start(run);\n  }",
      },
      {
        file: CONTRACTORS,
        find: "run.head = head();\n        return this.#start(run);",
        replace: "run.head = head();\n        return;",
      },
    ],
    invariants: ["S5"],
    hunt: ["plain"],
  },
  {
    name: "claim-refusal-ignored",
    about: "a contractor whose claim was refused works all the same",
    patches: [
      {
        file: CONTRACTORS,
        find: "      this.#finish(run);\n      this.#refuse(",
        replace: "      return this.#start(run);\n      this.#refuse(",
      },
    ],
    invariants: ["S5"],
    hunt: ["late-claim"],
  },
  {
    name: "conflict-is-success",
    about: "a refused write counts as stored",
    patches: [
      {
        file: "mesh/nats/fate.ts",
        find: 'return { ok: false, fault: "conflict", rev: rev === undefined ?',
        replace:
          "if (code > 0) return { ok: true, rev: Number(rev ?? 0), duplicate: true };\n" +
          '    return { ok: false, fault: "conflict", rev: rev === undefined ?',
      },
    ],
    invariants: ["S1", "S2", "S3"],
    hunt: ["late-claim"],
  },
  {
    name: "unknown-is-failure",
    about: "a write without an answer is made again as a new one",
    patches: [
      {
        file: "mesh/nats/ledger.ts",
        find: "[NONCE_HEADER]: id,",
        replace: "[NONCE_HEADER]: p.tries > 1 ? id + p.tries : id,",
      },
    ],
    invariants: ["S1", "S3", "S5", "S11"],
    hunt: ["lost-acks"],
  },
  {
    name: "unknown-is-success",
    about: "a write whose first try got no answer counts as stored",
    patches: [
      {
        file: "mesh/nats/ledger.ts",
        find: "if (p.tries >= REPEATS_MAX) {",
        replace:
          "if (p.tries > 0) {\n        this.#pending.delete(token);\n" +
          "        p.done({ ok: true, rev: p.write.guard + 1, duplicate: true });\n" +
          "        continue;\n      }\n      if (p.tries >= REPEATS_MAX) {",
      },
    ],
    invariants: ["S1"],
    hunt: ["lost-acks"],
  },
  {
    name: "overbooked",
    about: "an agent takes more contracts than it has slots",
    patches: [
      {
        file: "mesh/runtime/hosted-agent.ts",
        find: "this.draining || this.free(capability) <= 0) return false;",
        replace: "this.draining) return false;",
      },
      {
        file: "mesh/core/slots.ts",
        find: "if (this.#used >= this.total) return false;",
        replace: "",
      },
      {
        file: "mesh/runtime/hosted-agent.ts",
        find: 'if (open === 0 || this.#promises.full(open, now)) return "busy";',
        replace: "",
      },
      {
        file: "mesh/runtime/hosted-agent.ts",
        find: "slots: this.open(c.name),",
        replace: "slots: this.slots.total,",
      },
    ],
    invariants: ["S7"],
    hunt: ["crowd"],
  },
  {
    name: "failure-swallowed",
    about: "a handler's failure is neither stored nor told",
    patches: [
      {
        file: CONTRACTORS,
        find: '    this.#write(run, "failure", terms.initiator, record, run.rev, (result) => {',
        replace:
          "    if (record.epoch > 0) return;\n" +
          '    this.#write(run, "failure", terms.initiator, record, run.rev, (result) => {',
      },
    ],
    invariants: ["S13", "L1", "L4"],
    hunt: ["retries"],
  },
  {
    name: "outcome-of-another",
    about: "with two tasks at hand, one's outcome is stored under the other",
    patches: [
      {
        file: CONTRACTORS,
        find: "outcome.award = run.embedded;",
        replace:
          "run = [...this.#running.values()].at(-1) ?? run;\n    outcome.award = run.embedded;",
      },
    ],
    invariants: ["S4", "S13", "L1", "S3"],
    hunt: ["plain"],
  },
  {
    name: "replay-runs-again",
    about: "nonces are not remembered, and a second claim is not asked for",
    patches: [
      {
        file: CONTRACTORS,
        find: "!this.#nonces.admit(detached(opened.terms.nonce), this.#d.clock.now())) {",
        replace: "this.#nonces === undefined) {",
      },
      {
        file: CONTRACTORS,
        find: "      this.#finish(run);\n      this.#refuse(",
        replace: "      return this.#start(run);\n      this.#refuse(",
      },
    ],
    invariants: ["S5"],
    hunt: ["replay"],
  },
  {
    name: "replay-claims-again",
    about: "nonces are not remembered: a replayed award is claimed a second time",
    patches: [
      {
        file: CONTRACTORS,
        find: "!this.#nonces.admit(detached(opened.terms.nonce), this.#d.clock.now())) {",
        replace: "this.#nonces === undefined) {",
      },
    ],
    invariants: ["S10"],
    hunt: ["replay"],
  },
];
