// The answer of a stream to a write of which the writer waits for the outcome.
import { ParleyError } from "../../contracts/index.ts";
import type { Incoming } from "../ports/index.ts";

/** The server's codes for a fence that did not hold, and for a key that is written once. */
const FENCED = [10071, 10077];

/**
 * Gives the place of what was stored.
 * @param what names it in an error
 * @throws ParleyError E_STORE; E_FENCED for a `fenced` write that somebody else was before
 */
export function placeOf(
  m: Incoming,
  stream: string,
  what: string,
  { fenced }: { fenced: boolean },
): number {
  if (m.status === 503) throw noStream(stream);
  const ack = JSON.parse(Buffer.from(m.data).toString()) as {
    stream?: string;
    seq?: number;
    error?: { err_code?: number; description?: string };
  };
  if (ack.error === undefined) {
    if (ack.stream === stream) return ack.seq ?? 0;
    throw new ParleyError("E_STORE", `${what}: the answer is not the word of ${stream}; try again`);
  }
  const { err_code: code = 0, description = "refused" } = ack.error;
  if (fenced && FENCED.includes(code)) {
    throw new ParleyError("E_FENCED", `${what} was written by somebody else meanwhile`);
  }
  throw new ParleyError("E_STORE", `${what} was not stored: ${description}`);
}

export function noStream(stream: string): ParleyError {
  return new ParleyError("E_STORE", `there is no stream ${stream}; see: parley doctor`);
}
