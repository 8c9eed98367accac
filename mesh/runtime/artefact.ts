// Inputs and results that travel by reference: JSON, larger than a record may be.
import {
  ARTEFACT_BYTES_MAX,
  INLINE_BYTES_MAX,
  ParleyError,
  RETAIN_MS_PARKED,
  type Spec,
} from "../../contracts/index.ts";
import { decodeJsonValue, EncodeError, encodeJson } from "./codec/codec.ts";

/** Keys: one per 16 bytes, as dense as tables of small numbers get. */
export const ARTEFACT_LIMITS = {
  bytesMax: ARTEFACT_BYTES_MAX,
  depthMax: 32,
  keysMax: ARTEFACT_BYTES_MAX / 16,
};

/** What fits inside a record with room for the record itself (RECORD_LIMITS). */
const INLINE_LIMITS = { bytesMax: INLINE_BYTES_MAX, depthMax: 31, keysMax: 9_000 };

/**
 * An input or result as JSON, and whether it may travel inside a record.
 * @throws EncodeError when it is too much even for an artefact
 */
export function encodeContent(value: unknown): { bytes: Uint8Array; inline: boolean } {
  try {
    return { bytes: encodeJson(value, INLINE_LIMITS), inline: true };
  } catch (error) {
    if (!(error instanceof EncodeError)) throw error;
    return { bytes: encodeJson(value, ARTEFACT_LIMITS), inline: false };
  }
}

/** How long what belongs to this task is needed, ms: a parked one may be begun anew. */
export function neededMs(spec: Pick<Spec, "deadline" | "retainMs">, wall: number): number {
  return spec.deadline - wall + Math.max(spec.retainMs ?? 0, RETAIN_MS_PARKED);
}

/** The value of a fetched artefact. @throws ParleyError E_ARTEFACT when it is not JSON. */
export function openArtefact(bytes: Uint8Array): unknown {
  const opened = decodeJsonValue(bytes, ARTEFACT_LIMITS);
  if (opened.ok) return opened.value;
  throw new ParleyError("E_ARTEFACT", `not JSON: ${opened.detail}`);
}
