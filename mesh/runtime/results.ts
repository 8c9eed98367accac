// What a contractor writes: its claim, a result as bytes, or a failure as data.
import {
  type Contract,
  DEADLINE_MS_MAX,
  type Failure,
  type FailureCode,
  type Outcome,
  OutcomeSchema,
  ParleyError,
  RETAIN_MS_DEFAULT,
} from "../../contracts/index.ts";
import { base64url } from "./awards.ts";
import { RECORD_LIMITS } from "./codec/codec.ts";
import { jsonBytes } from "./codec/encode-own.ts";
import type { Inbound } from "./inbound.ts";
import type { Running } from "./running.ts";

/** The claim, with the award that gives it, the bid that won, and all bids, packed. */
export function contractOf(run: Running, bids: Uint8Array): Contract {
  const { terms } = run.award;
  const { bid } = terms;
  const contract: Contract = {
    v: 1,
    kind: "contract",
    task: terms.task,
    epoch: terms.epoch,
    attempt: terms.attempt,
    capability: terms.capability,
    contractor: run.agent.address,
    initiator: terms.initiator,
    leaseMs: terms.leaseMs,
    award: run.embedded,
    prev: terms.prev,
    at: run.startedWall,
  };
  if (bids.length > 0) contract.bids = base64url(bids);
  if (bid !== undefined) {
    const { startMs, durationMs, cost, confidence, load } = bid;
    contract.bid = { startMs, durationMs, cost, confidence, load };
  }
  return contract;
}

/** A good end, without its output. */
export function completedOf(run: Running, endedAt: number): Outcome {
  const { terms, spec } = run.award;
  return {
    v: 1,
    kind: "outcome",
    task: terms.task,
    epoch: terms.epoch,
    state: "completed",
    attempts: terms.attempt,
    startedAt: run.startedWall,
    endedAt,
    retainMs: spec.retainMs ?? RETAIN_MS_DEFAULT,
    prev: run.head,
  };
}

/** A contractor's word that it completed a live call; undefined where it is no such word. */
export function liveOutcome(
  inbound: Inbound,
  {
    task,
    epoch,
    outcome: bytes,
  }: { task: string; epoch: number; outcome?: Uint8Array | undefined },
): Outcome | undefined {
  const outcome = bytes && inbound.parse<Outcome>("live", OutcomeSchema, bytes, RECORD_LIMITS);
  const fits = outcome?.task === task && outcome.epoch === epoch && outcome.state === "completed";
  return fits ? outcome : undefined;
}

/** The outcome's JSON around the output's own bytes, which are not encoded a second time. */
export function outcomeBytes(outcome: Outcome, output: Uint8Array | undefined): Uint8Array {
  if (output === undefined) return jsonBytes(outcome);
  const head = JSON.stringify(outcome);
  return Buffer.concat([Buffer.from(`${head.slice(0, -1)},"output":`), output, BRACE]);
}

const BRACE = Buffer.from("}");

/** Half a character at the cut would make a record that nobody accepts. */
function brief(message: string): string {
  return message.slice(0, 4096).toWellFormed();
}

/** What a handler threw, as a failure: it may say itself whether a retry helps. */
export function asFailure(error: unknown): Failure {
  const { message, retry, afterMs, code } = told(error);
  if (code !== undefined) return { code, message: brief(message), retry: retry === true };
  const terminal = retry === false;
  return {
    code: terminal ? "E_TERMINAL" : "E_HANDLER",
    message: brief(message),
    retry: !terminal,
    ...(typeof afterMs === "number" && afterMs >= 0 && afterMs <= DEADLINE_MS_MAX
      ? { afterMs }
      : {}),
  };
}

/** What was thrown may be anything, and may itself throw when it is looked at. */
function told(error: unknown): {
  message: string;
  retry?: unknown;
  afterMs?: unknown;
  code?: FailureCode;
} {
  try {
    if (error instanceof ParleyError) {
      const { code, message, retry } = error;
      return { code, message, retry };
    }
    const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    const { retry, afterMs } = (error ?? {}) as { retry?: unknown; afterMs?: unknown };
    return { message, retry, afterMs };
  } catch {
    return { message: "what the handler threw has no text" };
  }
}

/** Where an error came from that nobody threw on purpose, as far as one can tell. */
export function stackOf(error: unknown): string | undefined {
  try {
    const isBug = error instanceof Error && !(error instanceof ParleyError) && !("retry" in error);
    return isBug ? String(error.stack) : undefined;
  } catch {
    // It throws itself when it is looked at.
    return undefined;
  }
}
