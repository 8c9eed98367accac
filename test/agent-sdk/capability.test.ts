import * as v from "valibot";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { announced } from "../../agent-sdk/capability.ts";
import {
  defineCapability,
  ParleyError,
  RetryableError,
  TerminalError,
} from "../../agent-sdk/index.ts";
import { Purse } from "../../agent-sdk/purse.ts";
import { jsonSchemaOf, type StandardSchemaV1, validate } from "../../agent-sdk/standard-schema.ts";
import { asFailure } from "../../mesh/runtime/results.ts";

const text = z.string();

describe("defineCapability", () => {
  test("a name with dots is refused with the mended name", () => {
    expect(() => defineCapability({ name: "text.summarize", input: text, output: text })).toThrow(
      /capability "text\.summarize" .*"text-summarize" would do/,
    );
  });

  test.each(["", "a b", "*", ">", "x".repeat(65)])("the name %j is refused", (name) => {
    expect(() => defineCapability({ name, input: text, output: text })).toThrow(ParleyError);
  });

  test("a version is three numbers, 1.0.0 when unsaid", () => {
    expect(defineCapability({ name: "a", input: text, output: text }).version).toBe("1.0.0");
    expect(() => defineCapability({ name: "a", version: "2", input: text, output: text })).toThrow(
      /1\.2\.3/,
    );
  });

  test("a schema of no known kind, a price below 0 and odd attributes are refused", () => {
    const none = { type: "string" } as unknown as StandardSchemaV1;
    expect(() => defineCapability({ name: "a", input: none, output: text })).toThrow(
      /input of a must be a Standard Schema/,
    );
    expect(() => defineCapability({ name: "a", input: text, output: text, cost: -1 })).toThrow(
      /cost of a/,
    );
    expect(() =>
      defineCapability({
        name: "a",
        input: text,
        output: text,
        attributes: { region: [] as unknown as string },
      }),
    ).toThrow(/attributes of a/);
  });
});

describe("the card", () => {
  test("shows the JSON Schema of a zod schema, from the sender's side", () => {
    const input = z.object({ text: z.string(), words: z.number().int().default(30) });
    expect(jsonSchemaOf(input)).toMatchObject({
      type: "object",
      required: ["text"],
      properties: { words: { type: "integer", default: 30 } },
    });
  });

  test("uses toJSONSchema where Standard JSON Schema is missing", () => {
    const older = {
      "~standard": { version: 1, vendor: "zod", validate: () => ({ value: 1 }) },
      toJSONSchema: ({ io }: { io: string }) => ({ type: "string", description: io }),
    };
    expect(jsonSchemaOf(older as unknown as StandardSchemaV1)).toEqual({
      type: "string",
      description: "input",
    });
  });

  test("does without where there is none: valibot, dates, schemas too large for a card", () => {
    expect(jsonSchemaOf(v.object({ a: v.string() }))).toBeUndefined();
    expect(jsonSchemaOf(z.object({ at: z.date() }))).toBeUndefined();
    expect(
      jsonSchemaOf(z.enum(Array.from({ length: 2_000 }, (_, i) => `value-${i}`) as ["a"])),
    ).toBeUndefined();
  });

  test("has the agent's own terms before the capability's", () => {
    const c = defineCapability({
      name: "a",
      input: v.string(),
      output: v.string(),
      cost: 2,
      durationMs: 10,
      attributes: { region: "eu", model: "small" },
    });
    expect(announced(c, { cost: 1, slots: 3, attributes: { model: "large" } })).toEqual({
      name: "a",
      version: "1.0.0",
      cost: 1,
      durationMs: 10,
      slots: 3,
      attributes: { region: "eu", model: "large" },
    });
  });
});

describe("validation", () => {
  test("names the place and the complaint, for zod and valibot alike", async () => {
    const deep = { items: [{ n: "x" }] };
    for (const schema of [
      z.object({ items: z.array(z.object({ n: z.number() })) }),
      v.object({ items: v.array(v.object({ n: v.number() })) }),
    ]) {
      await expect(validate(schema, deep, "E_INPUT", "the input of a")).rejects.toThrow(
        /^the input of a does not fit its schema: items\.0\.n: /,
      );
    }
  });

  test("waits for schemas that check asynchronously", async () => {
    const later = z.string().refine(async (s) => s === "yes");
    expect(await validate(later, "yes", "E_INPUT", "x")).toBe("yes");
    await expect(validate(later, "no", "E_INPUT", "x")).rejects.toThrow(ParleyError);
  });

  test("tells five complaints and counts the rest", async () => {
    const wide = z.object(Object.fromEntries("abcdefgh".split("").map((k) => [k, z.string()])));
    await expect(validate(wide, {}, "E_OUTPUT", "x")).rejects.toThrow(/; and 3 more$/);
  });
});

describe("what a handler throws", () => {
  test("becomes a failure with a verdict on retrying", () => {
    expect(asFailure(new TerminalError("no such page"))).toEqual({
      code: "E_TERMINAL",
      message: "TerminalError: no such page",
      retry: false,
    });
    expect(asFailure(new RetryableError("rate limit", { afterMs: 1_500 }))).toEqual({
      code: "E_HANDLER",
      message: "RetryableError: rate limit",
      retry: true,
      afterMs: 1_500,
    });
    expect(asFailure(new Error("oops"))).toEqual({
      code: "E_HANDLER",
      message: "Error: oops",
      retry: true,
    });
    expect(asFailure(undefined)).toMatchObject({ code: "E_HANDLER", retry: true });
    expect(asFailure({ afterMs: Number.NaN })).not.toHaveProperty("afterMs");
  });
});

describe("the purse", () => {
  test("B1: grants at most what is neither spent nor promised", () => {
    const purse = new Purse(10);
    purse.spend(2);
    const first = purse.promise(5);
    expect(first.budget).toBe(5);
    expect(purse.left).toBe(3);
    expect(purse.promise(7).budget).toBe(3);
    expect(purse.promise(undefined).budget).toBe(0);
  });

  test("B2: a promise is settled once, by what it cost", () => {
    const purse = new Purse(10);
    const grant = purse.promise(undefined);
    grant.settle(4);
    grant.settle(4);
    expect(purse.left).toBe(6);
    expect(purse.total(1)).toBe(5);
    expect(purse.total(undefined)).toBe(4);
  });

  test("without a budget nothing is cut, and costs still add up", () => {
    const own = new Purse(10);
    own.promise(2).settle(1_000_000);
    expect([own.left, own.total(undefined)]).toEqual([8, 2]);
    const purse = new Purse(undefined);
    expect(purse.promise(undefined).budget).toBeUndefined();
    expect(purse.left).toBeUndefined();
    expect(purse.total(undefined)).toBeUndefined();
    purse.spend(1);
    purse.spend(1);
    expect(purse.total(9)).toBe(2);
  });
});
