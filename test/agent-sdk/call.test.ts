// Live calls between agents of their own, on a real server.
import { randomBytes } from "node:crypto";
import * as v from "valibot";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import {
  defineCapability,
  ParleyError,
  type TaskEvent,
  TerminalError,
} from "../../agent-sdk/index.ts";
import { aborted, codeOf, gate, texts, useMesh } from "./fixture.ts";

const mesh = useMesh();

describe("a call", () => {
  const summarize = defineCapability({
    name: "summarize",
    input: z.object({ text: z.string(), words: z.number().int().default(2) }),
    output: z.object({ summary: z.string(), score: z.number().default(1) }),
  });

  test("reaches its own agent and another's, with the defaults of both schemas", async () => {
    const alice = await mesh.join("alice");
    await alice.serve(summarize, ({ text, words }) => ({
      summary: text.split(" ").slice(0, words).join(" "),
    }));
    const bob = await mesh.join("bob");
    for (const caller of [alice, bob]) {
      expect(await caller.call(summarize, { text: "one two three" })).toEqual({
        summary: "one two",
        score: 1,
      });
    }
    expect(await bob.call(summarize, { text: "one two three", words: 1 })).toEqual({
      summary: "one",
      score: 1,
    });
    await alice.close();
  });

  test("with wrong input is refused on the caller's side, before anything is sent", async () => {
    const carol = await mesh.join("carol");
    const wrong = carol.call(summarize, { text: 3 } as unknown as { text: string });
    await expect(wrong).rejects.toThrow(/the input of summarize .* text: /);
    expect(await carol.counters()).toEqual({});
  });

  test("with input that is not JSON says so", async () => {
    const any = defineCapability({ name: "any", input: z.unknown(), output: z.unknown() });
    const dora = await mesh.join("dora");
    await expect(dora.call(any, { n: 1n })).rejects.toThrow(/the input of any is not JSON/);
  });

  test("applies a schema that changes values once on each side", async () => {
    const length = defineCapability({
      name: "length",
      input: z.string().transform((s) => s.length),
      output: v.pipe(
        v.number(),
        v.transform((n) => `${n} letters`),
      ),
    });
    const eve = await mesh.join("eve");
    await eve.serve(length, (n) => n);
    expect(await eve.call(length, "abcd")).toBe("4 letters");
  });

  test("streams progress and partial output while it runs", async () => {
    const story = texts("story");
    const frank = await mesh.join("frank");
    await frank.serve(story, (topic, { progress, partial }) => {
      partial({ text: "Once " });
      progress(0.5, "half");
      progress(7);
      partial({ text: "upon" });
      return topic;
    });
    const events: TaskEvent[] = [];
    await frank.call(story, "a time", { onEvent: (e) => events.push(e) });
    const told = events.flatMap((e) =>
      e.type === "progress" ? [[e.done, e.note, e.partial]] : [],
    );
    expect(told).toEqual([
      [undefined, undefined, { text: "Once " }],
      [0.5, "half", undefined],
      [1, undefined, undefined],
      [undefined, undefined, { text: "upon" }],
    ]);
  });

  test("what is no progress is refused in words that its author can use", async () => {
    const odd = texts("odd-progress");
    const fred = await mesh.join("fred");
    await fred.serve(odd, (topic, { progress }) => {
      progress({ done: 0.5 } as never);
      return topic;
    });
    await expect(fred.call(odd, "x")).rejects.toThrow(/progress takes a number and a text/);
  });
});

describe("validation at the handler", () => {
  const strict = (name: string) =>
    defineCapability({
      name,
      input: z.object({ n: z.number() }),
      output: z.object({ n: z.number() }),
    });
  const loose = (name: string) =>
    defineCapability({
      name,
      input: z.unknown(),
      output: z.unknown(),
    });

  test("input of another author's making is E_INPUT, after one attempt", async () => {
    let ran = 0;
    const grace = await mesh.join("grace");
    await grace.serve(strict("strict-in"), (input) => {
      ran += 1;
      return input;
    });
    const heidi = await mesh.join("heidi");
    const handle = await heidi.submit(loose("strict-in"), { n: "x" });
    expect(await handle.outcome()).toMatchObject({
      state: "failed",
      attempts: 1,
      failure: { code: "E_INPUT", retry: false },
    });
    expect(ran).toBe(0);
  });

  test("a handler's wrong output is E_OUTPUT, after one attempt", async () => {
    let ran = 0;
    const ivan = await mesh.join("ivan");
    await ivan.serve(strict("strict-out"), () => {
      ran += 1;
      return { n: "x" } as unknown as { n: number };
    });
    expect(await codeOf(ivan.call(strict("strict-out"), { n: 1 }))).toBe("E_OUTPUT");
    expect(ran).toBe(1);
  });

  test("output of another author's making is E_OUTPUT at the caller", async () => {
    const judy = await mesh.join("judy");
    await judy.serve(loose("loose"), () => ({ n: "x" }));
    const call = judy.call(strict("loose"), { n: 1 });
    await expect(call).rejects.toThrow(/the result of loose does not fit its schema: n: /);
  });

  test("a result that is not JSON is E_OUTPUT", async () => {
    const kim = await mesh.join("kim");
    await kim.serve(loose("bigint"), () => ({ n: 1n }));
    expect(await codeOf(kim.call(loose("bigint"), {}))).toBe("E_OUTPUT");
  });
});

describe("large values", () => {
  const echo = texts("echo-large");

  test.each([200 * 1024, 3 * 1024 * 1024])("%d bytes go by reference, both ways", async (size) => {
    const text = randomBytes(size / 2).toString("hex");
    const [leo, mia] = [await mesh.join("leo"), await mesh.join("mia")];
    let got = 0;
    await leo.serve(echo, (input) => {
      got = input.length;
      return input;
    });
    expect(await mia.call(echo, text)).toBe(text);
    expect(got).toBe(size);
    const handle = await mia.submit(echo, text);
    expect(await handle.result()).toBe(text);
    const outcome = await handle.outcome();
    expect(outcome.output).toBeUndefined();
    expect(outcome.outputRef?.bytes).toBeGreaterThan(size);
    await leo.close();
  });
});

describe("an AbortSignal", () => {
  test("cancels the call and aborts the handler", async () => {
    const wait = texts("wait");
    const started = gate();
    const stopped = gate<unknown>();
    const nina = await mesh.join("nina");
    await nina.serve(wait, async (_, { signal }) => {
      started.open();
      stopped.open(await aborted(signal));
      throw signal.reason;
    });
    const control = new AbortController();
    const call = nina.call(wait, "", { signal: control.signal });
    await started.promise;
    control.abort(new Error("changed my mind"));
    await expect(call).rejects.toThrow("changed my mind");
    expect(await stopped.promise).toMatchObject({ code: "E_CANCELED" });
  });

  test("aborted before, nothing is sent", async () => {
    const oscar = await mesh.join("oscar");
    const call = oscar.call(texts("wait"), "", { signal: AbortSignal.abort(new Error("no")) });
    await expect(call).rejects.toThrow("no");
  });
});

describe("without a compiler", () => {
  test("what is no capability, or no handler, is refused before anybody hears of it", async () => {
    type Loose = Record<"serve" | "call" | "submit", (...args: unknown[]) => Promise<unknown>>;
    const odd = (await mesh.join("odd")) as unknown as Loose;
    const real = texts("real");
    expect(await codeOf(odd.serve("tt", () => ""))).toBe("E_SCHEMA");
    expect(await codeOf(odd.serve(real))).toBe("E_SCHEMA");
    expect(await codeOf(odd.call("tt", ""))).toBe("E_SCHEMA");
    expect(await codeOf(odd.submit({ name: "x" }, ""))).toBe("E_SCHEMA");
    const { input, output } = real;
    expect(() => defineCapability({ input, output } as never)).toThrow(/capability/);
  });
});

describe("deadlines", () => {
  test("a call for which there is nobody ends with that reason", async () => {
    const peggy = await mesh.join("peggy");
    const call = peggy.call(texts("nobody"), "", { timeoutMs: 500 });
    await expect(call).rejects.toThrow(/no agent offered "nobody"/);
    expect(await codeOf(call)).toBe("E_NO_CAPABILITY");
  });

  test("a call for one agent alone names it when it is not here", async () => {
    const pia = await mesh.join("pia");
    const there = texts("alone");
    await pia.serve(there, (s) => s);
    const call = pia.call(there, "", { to: "away.w", only: true, timeoutMs: 500 });
    await expect(call).rejects.toThrow(
      /away\.w, and nobody else may do it, had no free slot or is/,
    );
    expect(await codeOf(call)).toBe("E_NO_BID");
  });

  test("abort the handler's signal", async () => {
    const slow = texts("slow");
    const stopped = gate<unknown>();
    const quinn = await mesh.join("quinn");
    await quinn.serve(slow, async (_, { signal }) => {
      stopped.open(await aborted(signal));
      throw signal.reason;
    });
    expect(await codeOf(quinn.call(slow, "", { timeoutMs: 60 }))).toBe("E_DEADLINE");
    expect(await stopped.promise).toBeInstanceOf(ParleyError);
  });

  test.each([
    [{ timeoutMs: 0 }, /timeoutMs/],
    [{ priority: 11 }, /option priority/],
    [{ to: "nowhere" }, /option to/],
    [{ budget: -1 }, /option budget/],
    [{ deadline: Date.now() + 1e12 }, /deadline/],
  ])("options that no initiator could read are refused: %j", async (options, said) => {
    const rita = await mesh.join("rita");
    await expect(rita.call(texts("nobody"), "", options)).rejects.toThrow(said);
  });
});

describe("who gets it", () => {
  const who = texts("who");

  test("`to` names the agent", async () => {
    const [sue, tom] = [await mesh.join("sue", { agent: "main" }), await mesh.join("tom")];
    await Promise.all([sue, tom].map((m) => m.serve(who, () => m.address)));
    expect(sue.address).toBe("sue.main");
    for (const { address } of [sue, tom, sue, tom]) {
      expect(await tom.call(who, "", { to: address, only: true })).toBe(address);
    }
    await Promise.all([sue.close(), tom.close()]);
  });

  test("a custom bid wins, loses and refuses", async () => {
    const [uma, vic, wim] = await Promise.all(["uma", "vic", "wim"].map((n) => mesh.join(n)));
    await uma!.serve(who, () => "uma", { cost: 5 });
    await vic!.serve(who, () => "vic", { bid: (_, usual) => ({ ...usual, cost: 3 }) });
    await wim!.serve(who, () => "wim", {
      bid: (call) => (call.priority > 5 ? { cost: 1 } : undefined),
    });
    await mesh.sees(uma!, who, 3);
    const cheapest = { award: { policy: "cheapest" } };
    expect(await uma!.call(who, "", { ...cheapest, priority: 5 })).toBe("vic");
    expect(await uma!.call(who, "", { ...cheapest, priority: 6 })).toBe("wim");
    expect((await uma!.counters())["refusals.low_value"]).toBeGreaterThan(0);
    await Promise.all([uma, vic, wim].map((m) => m!.close()));
  });

  test("a bid function that throws costs its agent the bid, nobody else", async () => {
    const [xia, yan] = [await mesh.join("xia"), await mesh.join("yan")];
    await xia.serve(who, () => "xia", {
      bid: () => {
        throw new Error("oops");
      },
    });
    await yan.serve(who, () => "yan");
    await mesh.sees(yan, who, 2);
    expect(await yan.call(who, "")).toBe("yan");
    await Promise.all([xia.close(), yan.close()]);
  });

  test("the caller's own policy decides", async () => {
    const isCat = (from: string) => from.startsWith("cat.");
    // A bid that comes after the window counts for the next call.
    let there = false;
    const favourite = (bids: readonly { from: string }[]) => {
      there = bids.some((b) => isCat(b.from));
      return bids.map((b) => (isCat(b.from) ? 0 : 100));
    };
    const zoe = await mesh.join("zoe", { policies: { favourite } });
    const names = ["ann", "ben", "cat"];
    const agents = await Promise.all(names.map((n) => mesh.join(n)));
    await Promise.all(agents.map((m) => m.serve(who, () => m.principal)));
    await mesh.sees(zoe, who, 3);
    let won = 0;
    for (let i = 0; i < 50 && won < 5; i++) {
      const winner = await zoe.call(who, "", { award: { policy: "favourite" } });
      expect(winner === "cat").toBe(there);
      if (there) won++;
    }
    expect(won).toBe(5);
    expect(await codeOf(zoe.call(who, "", { award: { policy: "unknown" } }))).toBe("E_POLICY");
    await Promise.all(agents.map((m) => m.close()));
  });

  test("requirements are met by attributes of agent, capability and serving", async () => {
    const [dan, eli] = [
      await mesh.join("dan", { attributes: { region: "eu" } }),
      await mesh.join("eli", { attributes: { region: "us" } }),
    ];
    await dan.serve(who, () => "dan", { attributes: { memoryGb: 8 } });
    await eli.serve(who, () => "eli", { attributes: { memoryGb: 64 } });
    await mesh.sees(dan, who, 2);
    expect(await dan.call(who, "", { requires: { region: "us" } })).toBe("eli");
    expect(await eli.call(who, "", { requires: { memoryGb: { max: 16 } } })).toBe("dan");
    const [found] = await dan.agents({ capability: who, requires: { region: "eu" } });
    expect(found?.principal).toBe("dan");
    await Promise.all([dan.close(), eli.close()]);
  });

  test("an agent of another major version is not asked", async () => {
    const second = defineCapability({ ...who, version: "2.1.0" });
    const [fay, gus] = [await mesh.join("fay"), await mesh.join("gus")];
    await fay.serve(who, () => "one");
    await gus.serve(second, () => "two");
    await mesh.sees(fay, who, 2);
    for (let i = 0; i < 3; i++) {
      expect(await fay.call(who, "")).toBe("one");
      expect(await fay.call(second, "")).toBe("two");
    }
    await Promise.all([fay.close(), gus.close()]);
  });
});

describe("slots", () => {
  test("a capability takes as many at a time as it said, and the rest waits", async () => {
    const busy = texts("busy");
    const hal = await mesh.join("hal");
    let running = 0;
    let most = 0;
    await hal.serve(
      busy,
      async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
        return "";
      },
      { slots: 2 },
    );
    await Promise.all(Array.from({ length: 12 }, () => hal.call(busy, "")));
    expect(most).toBe(2);
  });

  test("join({ slots }) bounds all capabilities together", async () => {
    const [one, two] = [texts("shared-one"), texts("shared-two")];
    const ida = await mesh.join("ida", { slots: 1, capabilities: [one, two] });
    let running = 0;
    let most = 0;
    for (const capability of [one, two]) {
      await ida.serve(capability, async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
        return "";
      });
    }
    await Promise.all([one, two, one, two].map((c) => ida.call(c, "")));
    expect(most).toBe(1);
  });
});

describe("failures", () => {
  test("a TerminalError reaches the caller after one attempt", async () => {
    const fails = texts("fails");
    let ran = 0;
    const jon = await mesh.join("jon");
    await jon.serve(fails, () => {
      ran += 1;
      throw new TerminalError("no such page");
    });
    const call = jon.call(fails, "");
    await expect(call).rejects.toThrow("TerminalError: no such page");
    expect(await codeOf(call)).toBe("E_TERMINAL");
    expect(ran).toBe(1);
  });

  test("one capability has one handler, and a closed mesh says so", async () => {
    const kay = await mesh.join("kay");
    await kay.serve(texts("once"), (s) => s);
    await expect(kay.serve(texts("once"), (s) => s)).rejects.toThrow(/serves once already/);
    await kay.close();
    await kay.close();
    await expect(kay.serve(texts("later"), (s) => s)).rejects.toThrow(/left the mesh/);
  });
});

test("a call that is aborted throws the signal's reason, whatever that is", async () => {
  const waits = texts("waits-abort");
  const agent = await mesh.join("abort");
  const begun = gate();
  await agent.serve(waits, async (_, { signal }) => {
    begun.open();
    await aborted(signal);
    return "";
  });
  const odd = Object.create(null) as object;
  for (const reason of [new DOMException("enough", "AbortError"), "a text", odd]) {
    const stop = new AbortController();
    const call = agent.call(waits, "x", { signal: stop.signal });
    await begun.promise;
    stop.abort(reason);
    expect(await call.catch((error: unknown) => error)).toBe(reason);
  }
});
