// Type tests: checked by `tsc -p tsconfig.json`, never run. Each @ts-expect-error fails the
// compilation when the mistake below it compiles.
import * as v from "valibot";
import { expectTypeOf } from "vitest";
import { z } from "zod";
import { defineCapability, type Mesh, type TaskHandle } from "../../agent-sdk/index.ts";

declare const mesh: Mesh;

const zod = defineCapability({
  name: "summarize",
  input: z.object({ text: z.string(), words: z.number().int().default(30) }),
  output: z.object({ summary: z.string(), score: z.number().default(1) }),
});

const valibot = defineCapability({
  name: "summarize",
  input: v.object({ text: v.string(), words: v.optional(v.number(), 30) }),
  output: v.object({ summary: v.string(), score: v.optional(v.number(), 1) }),
});

const changing = defineCapability({
  name: "length",
  input: z.string().transform((s) => s.length),
  output: z.number().transform((n) => String(n)),
});

export async function zodServes(): Promise<void> {
  await mesh.serve(zod, async (input, context) => {
    expectTypeOf(input).toEqualTypeOf<{ text: string; words: number }>();
    expectTypeOf(context.input).toEqualTypeOf<{ text: string; words: number }>();
    expectTypeOf(context.signal).toEqualTypeOf<AbortSignal>();
    expectTypeOf(await context.call(valibot, { text: "" })).toEqualTypeOf<{
      summary: string;
      score: number;
    }>();
    return { summary: input.text };
  });
  // A default in the output may be left out by the handler, and need not be a promise.
  await mesh.serve(zod, ({ text }) => ({ summary: text, score: 2 }));
  // @ts-expect-error the output lacks its summary
  await mesh.serve(zod, async () => ({ score: 2 }));
  // @ts-expect-error the summary is no number
  await mesh.serve(zod, () => ({ summary: 3 }));
  // @ts-expect-error nothing given back
  await mesh.serve(zod, async () => undefined);
  // @ts-expect-error the handler asks for a field that the schema lacks
  await mesh.serve(zod, ({ title }: { title: string }) => ({ summary: title }));
}

export async function valibotServes(): Promise<void> {
  await mesh.serve(valibot, (input) => {
    expectTypeOf(input).toEqualTypeOf<{ text: string; words: number }>();
    return { summary: input.text };
  });
  // @ts-expect-error the summary is no number
  await mesh.serve(valibot, () => ({ summary: 3 }));
  // @ts-expect-error the output lacks its summary
  await mesh.serve(valibot, () => ({}));
}

export async function calls(): Promise<void> {
  expectTypeOf(await mesh.call(zod, { text: "" })).toEqualTypeOf<{
    summary: string;
    score: number;
  }>();
  expectTypeOf(await mesh.call(valibot, { text: "", words: 3 })).toEqualTypeOf<{
    summary: string;
    score: number;
  }>();
  // @ts-expect-error text is missing
  await mesh.call(zod, {});
  // @ts-expect-error text is no number
  await mesh.call(zod, { text: 1 });
  // @ts-expect-error words is no text
  await mesh.call(zod, { text: "", words: "3" });
  // @ts-expect-error unknown field
  await mesh.call(zod, { text: "", wrods: 3 });
  // @ts-expect-error text is missing
  await mesh.call(valibot, { words: 3 });
  // @ts-expect-error words is no text
  await mesh.call(valibot, { text: "", words: "3" });
  // @ts-expect-error an option that a live call does not have
  await mesh.call(zod, { text: "" }, { retainMs: 1 });
}

export async function submits(): Promise<void> {
  const handle = await mesh.submit(zod, { text: "" }, { task: "one", retainMs: 1 });
  expectTypeOf(handle).toEqualTypeOf<TaskHandle<{ summary: string; score: number }>>();
  expectTypeOf(await handle.result()).toEqualTypeOf<{ summary: string; score: number }>();
  // @ts-expect-error text is missing
  await mesh.submit(valibot, {});
}

/** Each side of a schema that changes its value sees its own. */
export async function changes(): Promise<void> {
  await mesh.serve(changing, (input) => {
    expectTypeOf(input).toEqualTypeOf<number>();
    return input;
  });
  expectTypeOf(await mesh.call(changing, "abc")).toEqualTypeOf<string>();
  // @ts-expect-error the caller gives the text, not its length
  await mesh.call(changing, 3);
  // @ts-expect-error the handler gives the number, not its text
  await mesh.serve(changing, (input) => String(input));
}

export async function terms(): Promise<void> {
  await mesh.serve(zod, ({ text }) => ({ summary: text }), {
    slots: 2,
    bid: (call, usual) => {
      expectTypeOf(call.priority).toEqualTypeOf<number>();
      return call.priority > 8 ? undefined : { ...usual, cost: 2 };
    },
  });
  await mesh.serve(zod, ({ text }) => ({ summary: text }), { bid: () => ({ cost: 1 }) });
  // @ts-expect-error a bid has no such term
  await mesh.serve(zod, ({ text }) => ({ summary: text }), { bid: () => ({ price: "low" }) });
}
