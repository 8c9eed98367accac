// Whose key is it? Agents that nobody can find are asked for again and again by whoever hears of
// them, and for a few seconds no more by whoever only reads what is stored.
import { beforeEach, describe, expect, test } from "vitest";
import { ParleyError } from "../../contracts/index.ts";
import { Counters } from "../../mesh/runtime/counters.ts";
import { type AgentKey, Identities } from "../../mesh/runtime/identities.ts";

const KEY: AgentKey = { publicKey: "UKEY", role: "contractor" };

let now: number;
let asked: string[];
let answer: () => ParleyError;
let stored: () => Promise<undefined>;
let identities: Identities;

beforeEach(() => {
  now = 0;
  asked = [];
  answer = () => new ParleyError("E_TIMEOUT", "no answer");
  stored = async () => undefined;
  const request = async (subject: string) => {
    asked.push(subject);
    throw answer();
  };
  identities = new Identities({
    transport: { request } as never,
    clock: { now: () => now } as never,
    counters: new Counters(),
    trust: undefined,
    stored: () => stored(),
  });
});

/** Is its key known, and was it "not known" for want of reading only? */
function find(agent: string, read = true): Promise<[AgentKey | undefined, boolean]> {
  return new Promise((resolve) =>
    identities.resolve("con", agent, (key, unread) => resolve([key, unread]), read),
  );
}

async function inVain(agent: string, times: number): Promise<void> {
  for (let i = 0; i < times; i++) expect(await find(agent)).toEqual([undefined, false]);
}

describe("an agent that is asked for in vain", () => {
  test("is left alone by readers for some seconds, once three questions were in vain", async () => {
    await inVain("x", 10);
    expect(asked).toEqual(Array(3).fill("mesh.who.con.x"));
    now += 10_000;
    await inVain("x", 10);
    expect(asked).toHaveLength(6);
  });

  test("is asked for anew when the questions lie apart: each may have been lost", async () => {
    for (let i = 0; i < 10; i++) {
      await inVain("x", 1);
      now += 10_000;
    }
    expect(asked).toHaveLength(10);
  });

  test("is asked for when something of it is heard", async () => {
    await inVain("x", 5);
    await find("x", false);
    expect(asked).toHaveLength(4);
  });

  test("is known as soon as its card comes, and not missing when that is forgotten", async () => {
    await inVain("x", 5);
    identities.learn("con.x", KEY);
    expect(await find("x")).toEqual([KEY, false]);
    identities.forget("con.x");
    await inVain("x", 1);
    expect(asked).toHaveLength(4);
  });

  test("is known when its card comes while it is asked for", async () => {
    const found = find("x");
    identities.learn("con.x", KEY);
    expect(await found).toEqual([KEY, false]);
  });

  test("may be there after all when the link was away", async () => {
    await inVain("x", 5);
    identities.onReturn();
    await inVain("x", 1);
    expect(asked).toHaveLength(4);
  });

  test("is not missing while what is stored of it cannot be read", async () => {
    stored = () => Promise.reject(new Error("no leader"));
    for (let i = 0; i < 5; i++) expect(await find("x")).toEqual([undefined, true]);
    expect(asked).toHaveLength(5);
  });

  test("is not missing when the server says that nobody is there: that costs no wait", async () => {
    answer = () => new ParleyError("E_NO_CAPABILITY", "nobody");
    await inVain("x", 5);
    expect(asked).toHaveLength(5);
  });

  test("makes room for others: so many names are kept, and no more", async () => {
    await inVain("x", 3);
    for (let i = 0; i < 10_000; i++) await find(`y${i}`);
    await inVain("x", 1);
    expect(asked.filter((subject) => subject.endsWith(".x"))).toHaveLength(4);
  });
});

test("however many records of one author a read holds, all are said to be nobody's", async () => {
  const found = await Promise.all(Array.from({ length: 5_000 }, () => find("x")));
  expect(found.every(([key, unread]) => key === undefined && !unread)).toBe(true);
  expect(asked).toHaveLength(1);
});

test("messages that wait for one sender are bounded", async () => {
  const found = await Promise.all(Array.from({ length: 1_500 }, () => find("x", false)));
  expect(found.filter(([, unread]) => unread)).toHaveLength(500);
});
