// Every bound of the protocol: value, unit, and where the number comes from.

/** Largest record stored, bytes. Origin: half the server's default max_payload (1 MiB). */
export const RECORD_BYTES_MAX = 512 * 1024;
/** Inputs and outputs above this go to the object store by reference, bytes. Origin: guess;
 * keeps an award (spec inside) and a contract well under a record. */
export const INLINE_BYTES_MAX = 64 * 1024;
/** Room for the headers of a message whose data is as large as may be, bytes: the server counts
 * them too. Those of this program take less. */
export const HEADERS_BYTES = 256;
/** Largest artefact that the runtime moves by reference, bytes. Origin: guess. */
export const ARTEFACT_BYTES_MAX = 64 * 1024 * 1024;
/** Largest call, bid, offer, beat, bytes. Origin: guess, ten times the usual size. */
export const CONTROL_BYTES_MAX = 8 * 1024;
/** Largest agent card, bytes: several capabilities with their JSON Schemas. Origin: guess. */
export const CARD_BYTES_MAX = 128 * 1024;
/** Largest progress message, bytes. */
export const PROGRESS_BYTES_MAX = 64 * 1024;
/** Largest message about one contract (`mesh.msg`), bytes. */
export const NOTICE_BYTES_MAX = 256 * 1024;

/** Rungs that reach a sample, with their queue groups per capability: at most so many agents hear
 * a call. Origin: 8 architecture section 3, 4 ADR 0012, 2 power of two choices. */
export const SAMPLES = { s2: 2, s4: 4, s8: 8 } as const;
export type Sample = keyof typeof SAMPLES;
export const SAMPLE_RUNGS = Object.keys(SAMPLES) as readonly Sample[];
/** How long a call stays open at most, ms, on one site. Origin: architecture section 3. */
export const WINDOW_MS_MAX = 20;
/** Bids kept per call; later ones are counted and dropped. Origin: guess. */
export const BIDS_MAX = 64;
/** Bids named in an award and so in the contract record, for `why`. */
export const BIDS_EXPLAINED_MAX = 16;
/** How long an award waits for the winner's claim, ms. Origin: guess; far above a round trip. */
export const CLAIM_TIMEOUT_MS = 2_000;
/** A bid's validity when it names none, ms. */
export const BID_VALID_MS = 2_000;
/** Attempts per task when the spec names none. Origin: faults page S14. */
export const ATTEMPTS_DEFAULT = 3;
export const ATTEMPTS_MAX = 20;
/** Contracts of a task that may be handed back without counting as attempts: as many deployments as
 * a month has, and more; whoever hands back for ever keeps no task from its end. Guess. */
export const HAND_BACKS_MAX = 100;
/** Alternatives that a spec may name. Origin: guess. */
export const ALTERNATIVES_MAX = 8;
/** How long a task looks for a free agent before its next alternative is tried, ms. Guess. */
export const PATIENCE_MS = 5_000;
/** Failures in a row, each within BREAKER_WINDOW_MS of the one before, that open a breaker.
 * Origin: the brief; faults page B15. */
export const BREAKER_FAILURES = 5;
export const BREAKER_WINDOW_MS = 60_000;
/** An open breaker lets one task through on trial after this, ms, and after twice as long each
 * time that it fails, up to the second: healing shows within 5 s (faults page B15). */
export const BREAKER_TRIAL_MS = 250;
export const BREAKER_TRIAL_MS_MAX = 2_000;
/** First pause after a failed attempt, ms; doubled each time up to the maximum. */
export const BACKOFF_MS = 200;
export const BACKOFF_MS_MAX = 30_000;
/** Deadline of a task that names none, ms from submission. Origin: guess. */
export const DEADLINE_MS_DEFAULT = 10 * 60_000;
/** Furthest deadline, ms from submission: 30 days. */
export const DEADLINE_MS_MAX = 30 * 24 * 3_600_000;
/** Finished tasks stay readable this long, ms. Origin: architecture section 8. */
export const RETAIN_MS_DEFAULT = 3_600_000;
/** Parked tasks wait for a person, ms: a week. Origin: guess. */
export const RETAIN_MS_PARKED = 7 * 24 * 3_600_000;
/** An artefact is kept as long as its task may last and its outcome be looked at, ms. */
export const ARTEFACT_MS_MAX = DEADLINE_MS_MAX + RETAIN_MS_PARKED;
/** Lease of a contract, ms. Origin: above one R3 election (12 s), faults page S6. */
export const LEASE_MS = 15_000;
/** Beat of a busy contractor to each initiator it works for, ms. Origin: section 4. */
export const BEAT_MS = 400;
/** Silence after which a busy contractor is asked whether it is there, ms of the observer's own
 * attention (mesh/core/awareness.ts). Origin: faults page F2. */
export const SUSPECT_MS = 1_000;
/** Silence after which an initiator gives a contract to somebody else, on the same clock, ms.
 * Origin: faults page F2: 2.5 s from the stop, which comes up to a beat after the last sign;
 * whoever lost his server is back after 1.6 s. */
export const SILENCE_MS = 2_300;
/** ack_wait of the supervision consumers, ms: with it, an orphaned task is adopted within 5 s
 * (faults page B10). Origin: measured. */
export const ACK_WAIT_MS = 3_500;
/** An agent's card lives this long without renewal, s. */
export const CARD_TTL_S = 60;
/** Renewal of cards, ms: two may be lost. A thousand cards are forty writes a second. */
export const CARD_RENEW_MS = 25_000;
/** A waiting task is called again after this pause at first, ms, and at most at the second. */
export const RECALL_MS = 25;
export const RECALL_MS_MAX = 2_000;
/** How long a freed agent collects offers before it rejoins its groups, ms. */
export const OFFER_WINDOW_MS = 3;
/** How long a freed agent keeps the slot for an offer that it took, ms. */
export const OFFER_HOLD_MS = 250;
/** Age at which a waiting task has gained one whole level of priority, ms. */
export const AGING_MS = 10_000;
/** Tasks that one initiator holds at a time. Origin: guess; about 4 KB each. */
export const OPEN_TASKS_MAX = 20_000;
/** Clock difference tolerated between a signer and a verifier, ms. Origin: faults page 4.2. */
export const CLOCK_SKEW_MS = 30_000;
/** By so much clocks differ that are set by NTP, ms. Origin: guess. */
export const CLOCKS_DIFFER_MS = 250;
/** Longest timer of the platform, ms: beyond it they fire at once. Origin: Node's timers. */
export const TIMER_MS_MAX = 2 ** 31 - 1;
/** Nonces remembered per peer for the window 2 x CLOCK_SKEW_MS. Origin: guess, 4 MB. */
export const NONCES_MAX = 65_536;
/** Principals whose keys are cached. */
export const KEYS_MAX = 20_000;
/** Priority: 0 (whenever) to 9 (drop everything); 5 when the spec names none. */
export const PRIORITY_DEFAULT = 5;
export const PRIORITY_MAX = 9;
