// What stands in a shared bucket: anybody may have written it, with any tool.
import { ParleyError } from "../contracts/index.ts";
import type { BucketEntry } from "../mesh/ports/index.ts";

const NOT_UNDERSTOOD = "E_NOT_UNDERSTOOD";

/** @throws ParleyError E_NOT_UNDERSTOOD */
export function jsonOf({ key, value, rev }: BucketEntry, bucket: string): unknown {
  try {
    return JSON.parse(Buffer.from(value ?? []).toString());
  } catch (error) {
    const text = `"${key}" in mesh_${bucket} (revision ${rev}) is no JSON: write it anew`;
    throw new ParleyError(NOT_UNDERSTOOD, text, { cause: error });
  }
}

/** In a list, one that is not understood must not hide the others. */
export function orLeftOut<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof ParleyError && error.code === NOT_UNDERSTOOD) return undefined;
    throw error;
  }
}
