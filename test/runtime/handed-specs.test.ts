// Specs that the store hands to an initiator and whose author cannot be found: tried again, later
// each time, for as long as they may be somebody's, and no longer.
import { beforeEach, expect, test } from "vitest";
import type { Spec } from "../../contracts/index.ts";
import type { SpecDelivery } from "../../mesh/ports/index.ts";
import { Counters } from "../../mesh/runtime/counters.ts";
import type { Deps } from "../../mesh/runtime/dependencies.ts";
import { HandedSpecs } from "../../mesh/runtime/handed-specs.ts";
import type { Initiators } from "../../mesh/runtime/initiators.ts";
import { SILENT } from "../../sim/virtual/hosts.ts";

const MONTH_MS = 30 * 24 * 3_600_000;
/** Longest pause, ms. */
const LONGEST_MS = 2_048_000;

/** What is found out about the author of the next spec. */
type Finding = "nobody" | "unread" | "forged" | "proven";

let now: number;
let finding: Finding;
let accepted: number;
let specs: HandedSpecs;
const counters = new Counters();

beforeEach(() => {
  now = 0;
  finding = "nobody";
  accepted = 0;
  const onSpec: Deps["records"]["onSpec"] = (delivery, then, otherwise) => {
    if (finding === "proven") return then({ body: { deadline: 1e6 } } as never);
    const { lifeMs } = delivery as unknown as { lifeMs: number };
    const spec = { at: 1e6, deadline: 1e6 + lifeMs } as Spec;
    otherwise(finding === "unread", finding === "nobody" ? spec : undefined);
  };
  specs = new HandedSpecs(
    {
      clock: { now: () => now, wall: () => 1e6 + now },
      counters,
      log: SILENT,
      records: { onSpec },
    } as never,
    { accept: () => void accepted++ } as unknown as Initiators,
  );
});

/** Hands it out: after which pause it is to be handed out again, ms, or what became of it. */
function hand(rev: number, lifeMs = MONTH_MS): number | "over" | "kept" {
  let answer: number | "over" | "kept" = "kept";
  const receipt = {
    ack: () => {
      answer = "over";
    },
    release: (ms: number) => {
      answer = ms;
    },
  };
  const key = { owner: "sue", task: `t${rev}`, fromPrincipal: "sue", fromAgent: "x" };
  const delivery = { receipt, key, rev, lifeMs, deliveries: 1, storedAt: 1e6 };
  specs.on(delivery as unknown as SpecDelivery);
  return answer;
}

/** Its pauses, as long as it is handed out, at most so many. */
function pauses(rev: number, most: number, lifeMs?: number): (number | string)[] {
  const all: (number | string)[] = [];
  for (let i = 0; i < most && typeof (all.at(-1) ?? 0) === "number"; i++) {
    const answer = hand(rev, lifeMs);
    if (typeof answer === "number") now += answer;
    all.push(answer);
  }
  return all;
}

test("one of nobody's is tried 12 times more, each after twice as long, and given up", () => {
  const seconds = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048];
  expect(pauses(1, 100)).toEqual([...seconds.map((s) => s * 1_000), "over"]);
});

test("one of nobody's is tried until its deadline, and once more then", () => {
  expect(pauses(1, 100, 10_000)).toEqual([1_000, 2_000, 4_000, 3_000, "over"]);
});

test("one whose author is found goes on the desk, and owes nothing for its tries", () => {
  pauses(1, 5);
  finding = "proven";
  expect(hand(1)).toBe("kept");
  expect(accepted).toBe(1);
  finding = "nobody";
  expect(hand(1)).toBe(1_000);
});

test("one whose author's key cannot be read is tried again and again: that is no finding", () => {
  finding = "unread";
  expect(new Set(pauses(1, 100))).toEqual(new Set([1_000]));
});

test("one that is not signed by its author is over at once", () => {
  finding = "forged";
  expect(pauses(1, 100)).toEqual(["over"]);
});

test("a flood of them is tried seldom, until there is room to count their tries", () => {
  for (let rev = 1; rev <= 20_000; rev++) hand(rev);
  expect(hand(20_001)).toBe(LONGEST_MS);
  expect(hand(1)).toBe(2_000);
  // Others, which somebody else was handed meanwhile, are not waited for.
  now += 2 * LONGEST_MS;
  expect(hand(20_001)).toBe(1_000);
});
