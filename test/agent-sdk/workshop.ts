// What workflows of tests are made of: a capability that tells what it did, and can be held.
import { z } from "zod";
import { defineCapability, type Workflow } from "../../agent-sdk/index.ts";

interface Hold {
  reached(): void;
  until: Promise<void>;
}

export function workshop(name: string) {
  const did: string[] = [];
  const holds = new Map<string, Hold>();
  const work = defineCapability({
    name,
    input: z.object({
      what: z.string(),
      n: z.number().default(0),
      fail: z.boolean().default(false),
    }),
    output: z.object({ what: z.string(), n: z.number() }),
  });
  return {
    work,
    /** In the order in which it was done. */
    did,
    /** What is asked for next under this name waits. */
    holds,
    act: (what: string, more: object = {}) => ({ capability: name, input: { what, ...more } }),
    async handle({ what, n, fail }: { what: string; n: number; fail: boolean }) {
      const hold = holds.get(what);
      holds.delete(what);
      hold?.reached();
      await hold?.until;
      did.push(what);
      if (fail) throw new Error(`${what} cannot be done`);
      return { what, n: n + 1 };
    },
  };
}

export const flow = (steps: Workflow["steps"], over: Partial<Workflow> = {}): Workflow => ({
  v: 1,
  kind: "workflow",
  name: "test",
  version: "1.0.0",
  steps,
  ...over,
});
