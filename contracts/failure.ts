// The one table of failure codes: code, sentence, and whether trying again may help.
import { z } from "zod";
import { DEADLINE_MS_MAX } from "./limits.ts";

export const FAILURES = {
  // about the message
  E_NOT_UNDERSTOOD: { retry: false, text: "the message is neither JSON nor msgpack of ours" },
  E_TOO_LARGE: { retry: false, text: "the message or value is larger than allowed" },
  E_SCHEMA: { retry: false, text: "the message does not fit its schema" },
  E_VERSION: { retry: false, text: "this protocol version is not spoken here" },
  E_KIND: { retry: false, text: "this kind of message is not known here" },
  E_SENDER: { retry: false, text: "the sender named inside is not the sender on the subject" },
  E_SIGNATURE: { retry: false, text: "the signature is missing or does not verify" },
  E_IDENTITY: { retry: true, text: "the sender's identity could not be resolved" },
  E_ROLE: { retry: false, text: "the sender's role does not allow this" },
  E_STALE: { retry: false, text: "the message is too old, or from the future: check clocks" },
  E_REPLAY: { retry: false, text: "this message was seen before" },
  E_FORGED_PATH: { retry: false, text: "the message came out of a stream where none may deliver" },
  // about the task
  E_TAKEN: { retry: false, text: "this id belongs to another task" },
  E_INPUT: { retry: false, text: "the input does not fit the capability's schema" },
  E_OUTPUT: { retry: false, text: "the handler's result does not fit the capability's schema" },
  E_NO_CAPABILITY: { retry: true, text: "no agent offers this capability" },
  E_NO_BID: { retry: true, text: "no agent made a bid that qualifies" },
  E_DEADLINE: { retry: false, text: "the deadline has passed" },
  E_CANCELED: { retry: false, text: "canceled on request" },
  E_BUDGET: { retry: false, text: "no bid is within the budget" },
  E_ATTEMPTS: { retry: false, text: "every attempt failed" },
  E_ALL_FAILED: { retry: false, text: "the capability and every alternative failed" },
  E_POLICY: { retry: false, text: "the award policy is not known to any initiator" },
  E_AUTHORITY: { retry: false, text: "the parent's contract does not cover this task" },
  E_HANDLER: { retry: true, text: "the handler failed" },
  E_TERMINAL: { retry: false, text: "the handler failed and said that a retry will not help" },
  E_JOURNAL: { retry: true, text: "the handler is not the one that wrote the journal" },
  E_LOST: { retry: true, text: "the contractor fell silent" },
  E_FENCED: { retry: false, text: "another writer moved this task on; this epoch is over" },
  E_DRAINING: { retry: true, text: "the agent is stopping" },
  E_BUSY: { retry: true, text: "all slots are taken" },
  E_OVERLOAD: { retry: true, text: "this peer holds all the tasks that it may" },
  // about the connection
  E_CONNECTION: { retry: true, text: "the server cannot be reached" },
  E_PERMISSION: { retry: false, text: "the server refused: not permitted" },
  E_STORE: { retry: true, text: "the store did not take the write" },
  E_TIMEOUT: { retry: true, text: "no answer in time" },
  E_NOT_FOUND: { retry: false, text: "there is no such task" },
  E_ARTEFACT: { retry: true, text: "the artefact cannot be read" },
} as const;

export type FailureCode = keyof typeof FAILURES;

export const FAILURE_CODES = Object.keys(FAILURES) as FailureCode[];

export const FailureSchema = z.object({
  code: z.enum(FAILURE_CODES as [FailureCode, ...FailureCode[]]),
  message: z.string().max(4096),
  /** May another attempt help? Decides between the next attempt and the end. */
  retry: z.boolean(),
  /** Shortest pause before the next attempt, ms, as the handler asked for it. */
  afterMs: z.number().min(0).max(DEADLINE_MS_MAX).optional(),
  /** Whatever else helps a person; never read by code. */
  detail: z.record(z.string(), z.unknown()).optional(),
});

export type Failure = z.infer<typeof FailureSchema>;

export function failure(code: FailureCode, message?: string): Failure {
  const row = FAILURES[code];
  return { code, message: message ?? row.text, retry: row.retry };
}

/** Thrown to authors and operators. `code` is stable; `retry`: may trying again help? */
export class ParleyError extends Error {
  readonly code: FailureCode;
  readonly retry: boolean;

  constructor(code: FailureCode, message?: string, options?: { cause?: unknown }) {
    super(message ?? FAILURES[code].text, options);
    this.name = "ParleyError";
    this.code = code;
    this.retry = FAILURES[code].retry;
  }

  static from(value: Failure): ParleyError {
    const error = new ParleyError(value.code, value.message);
    return Object.defineProperty(error, "retry", { value: value.retry });
  }
}
