// Any choice that ranking makes is found honest, whatever the bids; any other order is found out.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type AwardTerms,
  BIDS_EXPLAINED_MAX,
  type Contract,
  type SeenBid,
} from "../../contracts/index.ts";
import { ranked as byCore } from "../../mesh/core/initiator-moves.ts";
import {
  NAMED,
  NEAR_EQUAL,
  type Policy,
  rank,
  type ScoredBid,
  seen,
} from "../../mesh/core/policy.ts";
import type { Clock, Transport } from "../../mesh/ports/index.ts";
import { encodeMsgpack } from "../../mesh/runtime/codec/codec.ts";
import { Counters } from "../../mesh/runtime/counters.ts";
import { type Explanation, explain } from "../../mesh/runtime/explain.ts";
import { Identities } from "../../mesh/runtime/identities.ts";
import { Policies } from "../../mesh/runtime/policies.ts";
import { bidsDigest, packBids } from "../../mesh/runtime/seen-bids.ts";
import { Bench } from "../support/core.ts";

// Without trust nobody is asked for a key, so no transport is needed.
const identities = new Identities({
  transport: undefined as unknown as Transport,
  clock: undefined as unknown as Clock,
  counters: new Counters(),
  trust: undefined,
});

interface Case {
  bids: ScoredBid[];
  policy: string;
  draw: number;
  leftMs: number;
  weights: Record<string, number> | undefined;
}

const share = fc.double({ min: 0, max: 1, noNaN: true });
// Few distinct values, so that ties and near-ties are common.
const ms = fc.oneof(
  fc.constantFrom(0, 10, 10.1, 100),
  fc.double({ min: 0, max: 1e5, noNaN: true }),
);

function bidOf(from: string): fc.Arbitrary<ScoredBid> {
  return fc
    .record({ startMs: ms, durationMs: ms, cost: ms, confidence: share, load: share })
    .chain((claim) =>
      fc.record({ durationMs: ms, confidence: share }).map((believed) => ({
        from,
        bid: { v: 1 as const, kind: "bid" as const, ...claim, slots: 1, validMs: 2_000 },
        believed,
        at: 0,
        score: 0,
      })),
    );
}

function cases(count: number): fc.Arbitrary<Case> {
  return fc.record({
    bids: fc.tuple(...Array.from({ length: count }, (_, i) => bidOf(`a.w${i}`))),
    policy: fc.constantFrom(...Object.keys(NAMED)),
    draw: share.map((x) => Math.min(x, 1 - Number.EPSILON)),
    leftMs: fc.integer({ min: 1, max: 200_000 }),
    weights: fc.option(fc.record({ time: share, cost: share, load: share, risk: share }), {
      nil: undefined,
    }),
  });
}

/** What an initiator writes down after ranking, with a contract for the bid at `place`. */
function contractOf(c: Case, order: SeenBid[], place = 0, sentLaterMs = 0): Contract {
  const contractor = (order[place] as SeenBid).from;
  const packed = packBids(order);
  const terms: AwardTerms = {
    v: 1,
    kind: "award",
    task: "t1",
    owner: "sue",
    submitter: "sue.main",
    capability: "echo",
    epoch: 1,
    attempt: 1,
    rev: 1,
    prev: "",
    live: false,
    cfp: "c1",
    spec: "",
    initiator: "ina.main",
    contractor,
    rung: "all",
    policy: {
      name: c.policy,
      hash: new Policies().hash(c.policy),
      seed: c.draw,
      band: NEAR_EQUAL,
      leftMs: c.leftMs,
      ...(c.weights === undefined ? {} : { weights: c.weights }),
    },
    bid: order[place] as SeenBid,
    bids: bidsDigest(packed),
    refusals: 0,
    deadline: 1e6 + c.leftMs,
    leaseMs: 15_000,
    at: 1e6 + sentLaterMs,
    nonce: "n1",
  };
  return {
    v: 1,
    kind: "contract",
    task: "t1",
    epoch: 1,
    attempt: 1,
    capability: "echo",
    contractor,
    initiator: "ina.main",
    leaseMs: 15_000,
    award: { terms: Buffer.from(encodeMsgpack(terms)).toString("base64url"), sig: "" },
    bids: Buffer.from(packed).toString("base64url"),
    prev: "",
    at: 1e6,
  };
}

function ranked(c: Case): SeenBid[] {
  const facts = { leftMs: c.leftMs, budget: undefined, weights: c.weights };
  return rank(c.bids, NAMED[c.policy] as Policy, facts, c.draw).map(seen);
}

function why(contract: Contract, ...contractorsBefore: string[]): Promise<Explanation> {
  return explain(
    {
      contract,
      from: contract.contractor,
      previous: undefined,
      spec: undefined,
      specBytes: undefined,
      contractorsBefore,
    },
    identities,
  );
}

const choice = (e: Explanation) => e.checks.find((check) => check.name === "choice");

const FEW = fc.integer({ min: 1, max: BIDS_EXPLAINED_MAX - 1 }).chain(cases);

describe("an award is explained", () => {
  it("every honest first choice is found so, under every policy", async () => {
    await fc.assert(
      fc.asyncProperty(FEW, async (c) => {
        const e = await why(contractOf(c, ranked(c)));
        expect(choice(e)).toMatchObject({ verdict: "good" });
        expect(e.others.find((o) => o.policy === c.policy)?.winner).toBeDefined();
      }),
    );
  });

  it("so is a next-best one that was sent later, when less time was left", async () => {
    const later = fc.tuple(
      fc.integer({ min: 2, max: 6 }).chain(cases),
      fc.integer({ min: 0, max: 2_000 }),
    );
    await fc.assert(
      fc.asyncProperty(later, async ([c, sentLaterMs]) => {
        const e = await why(contractOf(c, ranked(c), 1, sentLaterMs));
        expect(choice(e)).toMatchObject({
          verdict: "good",
          text: expect.stringContaining("refused the award"),
        });
      }),
    );
  });

  it("so is one that puts last who has just failed, as earlier versions did", async () => {
    await fc.assert(
      fc.asyncProperty(cases(4), async (c) => {
        const [first, ...rest] = ranked(c) as [SeenBid, ...SeenBid[]];
        const e = await why(contractOf(c, [...rest, first]), first.from);
        expect(choice(e)).toMatchObject({ verdict: "good" });
      }),
    );
  });

  it("so is one that puts last all who failed, the longest ago first", async () => {
    await fc.assert(
      fc.asyncProperty(cases(4), fc.nat(3), async (c, some) => {
        const bench = new Bench("explain");
        const t = bench.task({ award: { policy: c.policy, weights: c.weights } });
        t.bids = c.bids;
        t.failed = c.bids.slice(0, some).map((b) => b.from);
        bench.context.wall = t.spec.deadline - c.leftMs;
        t.draw = c.draw;
        const order = byCore(t, bench.context).map(seen);
        const e = await why(contractOf(c, order), ...t.failed);
        expect(choice(e)).toMatchObject({ verdict: "good" });
      }),
    );
  });

  it("a worse bid in first place is found out", async () => {
    await fc.assert(
      fc.asyncProperty(cases(5), async (c) => {
        const order = ranked(c);
        const best = Math.min(...order.map((b) => b.score));
        const worst = order.findLastIndex((b) => b.score > best + Math.abs(best) * 0.03 + 1e-6);
        fc.pre(worst > 0);
        const cheating = [order[worst] as SeenBid, ...order.filter((_, i) => i !== worst)];
        expect(choice(await why(contractOf(c, cheating)))).toMatchObject({ verdict: "bad" });
      }),
    );
  });

  it("so is a score that the policy does not give", async () => {
    await fc.assert(
      fc.asyncProperty(cases(3), share, async (c, by) => {
        const order = ranked(c);
        const better = order.map((b, i) => (i === 0 ? { ...b, score: b.score - 1 - by } : b));
        expect(choice(await why(contractOf(c, better)))).toMatchObject({ verdict: "bad" });
      }),
    );
  });

  it("with more bids than an award names, nobody is accused wrongly", async () => {
    await fc.assert(
      fc.asyncProperty(cases(BIDS_EXPLAINED_MAX + 8), async (c) => {
        const e = await why(contractOf(c, ranked(c).slice(0, BIDS_EXPLAINED_MAX)));
        expect(choice(e)?.verdict).not.toBe("bad");
      }),
    );
  });

  it("a policy of the initiator's own cannot be computed here", async () => {
    const [c] = fc.sample(cases(2), 1) as [Case];
    const e = await why(contractOf({ ...c, policy: "secret" }, ranked(c)));
    expect(choice(e)).toMatchObject({ verdict: "unknown" });
  });

  it("an award that cannot be read is said to be bad, whatever it holds", async () => {
    const [c] = fc.sample(cases(1), 1) as [Case];
    const contract = contractOf(c, ranked(c));
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        const terms = Buffer.from(bytes).toString("base64url");
        const e = await why({ ...contract, award: { terms, sig: "" } });
        expect(e.checks).toEqual([expect.objectContaining({ name: "terms", verdict: "bad" })]);
      }),
    );
  });
});
