// What passes by itself: a full disk, a link that is being restored. It decides over nothing.
import { type FailureCode, ParleyError } from "../contracts/index.ts";
import { pause } from "./durable.ts";

const PASSING: readonly FailureCode[] = [
  "E_STORE",
  "E_CONNECTION",
  "E_TIMEOUT",
  "E_ARTEFACT",
  "E_IDENTITY",
  "E_OVERLOAD",
];
/** Between two tries, ms: doubled each time, up to. Guess. */
const PAUSE_MS = 100;
const PAUSE_MS_MAX = 10_000;

export interface PatienceOptions {
  /** Tries. */
  most?: number;
  /** Waits so many ms, or throws the signal's reason. */
  rest?: ((ms: number, signal: AbortSignal) => Promise<void>) | undefined;
}

/** Does it until it succeeds, fails for good, or the signal is aborted; once at least. */
export async function untilItPasses<T>(
  signal: AbortSignal,
  act: () => Promise<T>,
  { most = Number.POSITIVE_INFINITY, rest = pause }: PatienceOptions = {},
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await act();
    } catch (error) {
      const passes = error instanceof ParleyError && PASSING.includes(error.code);
      if (!passes || tries >= most || signal.aborted) throw error;
      await rest(Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** (tries - 1)), signal);
    }
  }
}
