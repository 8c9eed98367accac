// What `parley doctor` says of the profile, from what the servers say of themselves.
import { expect, test } from "vitest";
import { durability, inForce } from "../../cli/lib/durability.ts";
import type { UpFile } from "../../cli/lib/up-file.ts";
import type { CopyFacts, ServerFacts } from "../../mesh/nats/examination.ts";

const ONE: CopyFacts = {
  servers: 1,
  serversMax: 1,
  fewest: 1,
  fewestOf: "KV_mesh_tasks",
  behind: [],
};
const THREE: CopyFacts = { ...ONE, servers: 3, serversMax: 3, fewest: 3 };

function facts(syncIntervalMs: number, copies: CopyFacts): ServerFacts {
  const clock = { at: 0, readAt: 0, within: 0 };
  const limits = { maxPayload: 0, maxControlLine: 0, consumersDefaultMax: undefined };
  return { name: "n", version: "2.15.1", syncIntervalMs, copies, ...limits, clock };
}

function target(profile?: UpFile["profile"], url = "nats://a,nats://b") {
  const up: UpFile = {
    url: "nats://a,nats://b",
    home: "",
    pid: 1,
    serverPid: 2,
    profile: profile ?? "dev",
    version: "",
    store: "",
    startedAt: "",
  };
  return { servers: url.split(","), up: profile === undefined ? undefined : up };
}

test.each([
  ["dev", 120_000, ONE],
  ["durable-1", 0, ONE],
  ["durable-3", 0, THREE],
  // Three copies that all sit in memory for two minutes are none against a power cut.
  ["dev", 120_000, THREE],
  ["durable-1", 0, { ...THREE, fewest: 1, fewestOf: "mesh_keys" }],
] as const)("%s is in force with sync %d ms and %o", (profile, sync, copies) => {
  expect(inForce(facts(sync, copies))).toBe(profile);
  expect(durability(facts(sync, copies), target()).text).toContain(`profile ${profile}`);
});

test("a profile that parley up claims and that does not hold is a fault, with the reason", () => {
  const one = { ...THREE, fewest: 1, fewestOf: "mesh_keys" };
  expect(durability(facts(120_000, one), target("durable-3"))).toMatchObject({
    verdict: "fail",
    text: expect.stringMatching(/durable-3, but only dev holds: .*within 2m.*; mesh_keys has 1 of/),
    fix: expect.stringContaining("parley up --profile durable-3"),
  });
  expect(durability(facts(0, ONE), target("durable-3"))).toMatchObject({
    verdict: "fail",
    text: expect.stringContaining("one server"),
  });
  expect(durability(facts(120_000, ONE), target("durable-1")).verdict).toBe("fail");
  // More than was claimed is no fault.
  expect(durability(facts(0, ONE), target("dev"))).toMatchObject({ verdict: "ok" });
  // The claim is about other servers.
  expect(durability(facts(0, ONE), target("durable-3", "nats://c"))).toMatchObject({
    verdict: "ok",
  });
});

test("a copy that is missing or behind is told while two others hold", () => {
  const behind = ["a on s", "b on s", "c on s", "d on s", "e on s"];
  const check = durability(facts(0, { ...THREE, servers: 2, behind }), target("durable-3"));
  expect(check).toMatchObject({ verdict: "warn", fix: expect.stringContaining("start") });
  expect(check.text).toContain("2 of 3 servers answer; not up to date: a on s, b on s, c on s");
  expect(check.text).toContain("and 2 more");
});

test("what cannot be asked is taken from parley up, and said", () => {
  expect(durability(undefined, target("durable-3"))).toMatchObject({
    verdict: "ok",
    text: "profile durable-3, as parley up says",
  });
  expect(durability(undefined, target())).toMatchObject({ verdict: "warn" });
});
