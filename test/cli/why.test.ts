// `parley task why`: a real award computed again, and some that were tampered with.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AwardTerms, Contract, SeenBid, Spec } from "../../contracts/index.ts";
import { NEAR_EQUAL } from "../../mesh/core/policy.ts";
import { sealAward } from "../../mesh/runtime/awards.ts";
import { decode, RECORD_LIMITS } from "../../mesh/runtime/codec/codec.ts";
import { Policies } from "../../mesh/runtime/policies.ts";
import { bidsDigest, openBids, packBids } from "../../mesh/runtime/seen-bids.ts";
import { digest } from "../../mesh/runtime/signing.ts";
import { CliMesh } from "../support/cli-mesh.ts";

const LONG = { timeout: 30_000 };
let mesh: CliMesh;

beforeAll(async () => {
  mesh = await CliMesh.start();
}, 30_000);
afterAll(() => mesh?.stop());

describe("why", LONG, () => {
  it("recomputes a real award, and says who would have won otherwise", async () => {
    const { out } = await mesh.run([
      "submit",
      "echo",
      "{}",
      "--wait",
      "--json",
      "--policy",
      "fastest",
    ]);
    const { task } = JSON.parse(out);
    const { awards } = await mesh.json(["task", "why", task]);
    expect(awards).toHaveLength(1);
    const [award] = awards;
    expect(award).toMatchObject({
      epoch: 1,
      contractor: "alice.w",
      rung: "all",
      policy: { name: "fastest" },
    });
    expect(award.bids.map((b: SeenBid) => b.from)).toEqual(["alice.w", "bob.w"]);
    for (const [i, b] of (award.bids as SeenBid[]).entries()) {
      expect(award.recomputed[i]).toBeCloseTo(b.score, 9);
    }
    expect(award.checks.map((c: { name: string; verdict: string }) => [c.name, c.verdict])).toEqual(
      ["signature", "terms", "spec", "revision", "chain", "choice"].map((name) => [name, "good"]),
    );
    expect(award.others).toContainEqual({ policy: "cheapest", winner: "bob.w" });
    const text = (await mesh.run(["task", "why", task])).out;
    expect(text).toMatch(/\* alice\.w/);
    expect(text).toMatch(/cheapest +bob\.w/);
  });

  it("explains every epoch", async () => {
    const { out } = await mesh.run(["submit", "fail", "--wait", "--retries", "1", "--json"]);
    const { awards } = await mesh.json(["task", "why", JSON.parse(out).task]);
    expect(awards.map((a: { epoch: number }) => a.epoch)).toEqual([1, 2]);
    expect(awards[0].contractor).not.toBe(awards[1].contractor);
    for (const award of awards) {
      expect(award.checks.filter((c: { verdict: string }) => c.verdict !== "good")).toEqual([]);
    }
  });

  it("an award that its contractor has tampered with does not pass", async () => {
    const task = await forge(({ terms, bids }) => {
      // It claims to have been the cheaper one.
      const seen = openBids(terms, bids)?.bids ?? [];
      return choiceOf(terms, seen.map(free));
    });
    const { code, out, err } = await mesh.run(["task", "why", task, "--json"]);
    expect([code, err]).toEqual([1, expect.stringContaining("E_CHECK")]);
    const { checks } = JSON.parse(out).awards[0];
    expect(verdicts(checks)).toMatchObject({ signature: "bad", revision: "good", chain: "good" });
  });

  it("bids that are not those of the award do not pass", async () => {
    const task = await forge(({ terms, bids }) => {
      const seen = openBids(terms, bids)?.bids ?? [];
      return { terms, bids: packBids(seen.slice(0, 1)) };
    });
    const { code, out } = await mesh.run(["task", "why", task, "--json"]);
    expect(code).toBe(1);
    const { checks } = JSON.parse(out).awards[0];
    expect(verdicts(checks)).toMatchObject({ signature: "good", choice: "bad" });
  });

  it("an initiator that did not follow its policy is found out", async () => {
    const task = await forge(
      (terms) => terms,
      (bids) => bids.toReversed(),
    );
    const { code, out } = await mesh.run(["task", "why", task, "--json"]);
    expect(code).toBe(1);
    const { checks } = JSON.parse(out).awards[0];
    expect(verdicts(checks)).toMatchObject({ signature: "good", choice: "bad" });
  });

  it("an honest award made the same way passes", async () => {
    const task = await forge((terms) => terms);
    const { code, out } = await mesh.run(["task", "why", task, "--json"]);
    expect(code).toBe(0);
    expect(verdicts(JSON.parse(out).awards[0].checks)).toMatchObject({
      signature: "good",
      choice: "good",
    });
  });
});

function verdicts(checks: { name: string; verdict: string }[]): Record<string, string> {
  return Object.fromEntries(checks.map((c) => [c.name, c.verdict]));
}

const free = (b: SeenBid): SeenBid => ({ ...b, cost: 0 });

const bid = (from: string, ms: number): SeenBid => ({
  from,
  startMs: 0,
  durationMs: ms,
  cost: 1,
  confidence: 1,
  load: 0,
  calibratedMs: ms,
  calibratedConfidence: 1,
  score: ms,
});

type Choice = { terms: AwardTerms; bids: Uint8Array };

function choiceOf(terms: AwardTerms, seen: readonly SeenBid[]): Choice {
  const bids = packBids(seen);
  return { terms: { ...terms, bids: bidsDigest(bids) }, bids };
}

/** Stores a contract by hand: by `mallory`, with an award that `ina` made or not quite. */
async function forge(
  tamper: (choice: Choice) => Choice,
  reorder: (bids: SeenBid[]) => SeenBid[] = (bids) => bids,
): Promise<string> {
  const [owner, initiator, contractor] = ["sue", "ina", "mallory"].map(
    (name) => `${name}${mesh.peers.length}`,
  ) as [string, string, string];
  const sue = await mesh.bystander(owner, "submitter");
  const ina = await mesh.bystander(initiator, "agent");
  const mallory = await mesh.bystander(contractor, "agent");
  const { task } = await sue.peer.submitters.submit("forged", {}, { award: { policy: "fastest" } });
  const { ledger, records, identities } = ina.peer.deps;
  const [stored] = await ledger.read(owner, task);
  const [proven] = await records.read(owner, task);
  if (stored === undefined || proven === undefined) throw new Error("the spec is not stored");
  const common = {
    v: 1,
    task,
    capability: "forged",
    epoch: 1,
    attempt: 1,
    leaseMs: 15_000,
  } as const;
  const who = { initiator: `${initiator}.main`, contractor: `${contractor}.main` };
  const terms: AwardTerms = {
    ...common,
    ...who,
    kind: "award",
    owner,
    submitter: `${owner}.main`,
    rev: stored.rev,
    prev: proven.digest,
    live: false,
    cfp: "c1",
    spec: digest(stored.body),
    rung: "all",
    policy: {
      name: "fastest",
      hash: new Policies().hash("fastest"),
      seed: 0.5,
      band: NEAR_EQUAL,
      leftMs: 60_000,
    },
    bid: bid(who.contractor, 10),
    bids: "",
    refusals: 0,
    deadline: (JSON.parse(Buffer.from(stored.body).toString()) as Spec).deadline,
    at: Date.now(),
    nonce: "n1",
  };
  const choice = choiceOf(terms, reorder([bid(who.contractor, 10), bid("other.w", 20)]));
  const told = tamper(choice);
  const seal = (c: Choice) => {
    const opened = decode(sealAward(c, stored.body, ina.signer, identities).message, RECORD_LIMITS);
    return (opened.ok ? opened.value : {}) as { terms: Uint8Array; sig: Uint8Array };
  };
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
  const contract: Contract = {
    ...common,
    ...who,
    kind: "contract",
    prev: proven.digest,
    at: Date.now(),
    award: { terms: text(seal(told).terms), sig: text(seal(choice).sig) },
    bids: text(told.bids),
  };
  const to = { toPrincipal: initiator, toAgent: "main" };
  const from = { fromPrincipal: contractor, fromAgent: "main" };
  const result = await new Promise((resolve) => {
    const key = { owner, task, kind: "contract", n: "1", ...to, ...from } as const;
    mallory.peer.deps.records.write(key, contract, stored.rev, mallory.signer, resolve);
  });
  expect(result).toMatchObject({ ok: true });
  return task;
}
