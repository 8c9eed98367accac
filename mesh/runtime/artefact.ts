// Inputs and results that travel by reference: JSON, larger than a record may be.
import { ARTEFACT_BYTES_MAX, ParleyError } from "../../contracts/index.ts";
import { decodeJsonValue } from "./codec/codec.ts";

/** Keys: one per 16 bytes, as dense as tables of small numbers get. */
export const ARTEFACT_LIMITS = {
  bytesMax: ARTEFACT_BYTES_MAX, depthMax: 32, keysMax: ARTEFACT_BYTES_MAX / 16,
};

/** The value of a fetched artefact. @throws ParleyError E_ARTEFACT when it is not JSON. */
export function openArtefact(bytes: Uint8Array): unknown {
  const opened = decodeJsonValue(bytes, ARTEFACT_LIMITS);
  if (opened.ok) return opened.value;
  throw new ParleyError("E_ARTEFACT", `not JSON: ${opened.detail}`);
}
