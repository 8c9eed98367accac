// Capabilities that tests share with agents in other processes: nothing of vitest here.
import { z } from "zod";
import { defineCapability } from "../../agent-sdk/index.ts";

/** A capability with a text in and a text out. */
export function texts(name: string) {
  return defineCapability({ name, input: z.string(), output: z.string() });
}
