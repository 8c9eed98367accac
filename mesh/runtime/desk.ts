// What lies on an initiator's desk.
import type { Address, Failure, TerminalState } from "../../contracts/index.ts";
import type { InitiatorTask } from "../core/initiator-task.ts";
import type { Signer, SpecDelivery } from "../ports/index.ts";
import type { Policies } from "./policies.ts";
import { digest } from "./signing.ts";

/** Who wants to know how a live call of this peer goes. */
export interface LiveObserver {
  ended(state: TerminalState, failure: Failure | undefined): void;
}

export interface Entry {
  t: InitiatorTask;
  delivery: SpecDelivery | undefined;
  specBytes: Uint8Array;
  specDigest: string;
  observer: LiveObserver | undefined;
  /** Earliest moment queued in the deadline heap. */
  queuedAt: number;
  heldSince: number;
  offeredUntil: number;
  probing: boolean;
}

export interface InitiatorOptions {
  agent: Address;
  signer: Signer | undefined;
  policies: Policies;
  shortTaskMs?: number;
  silenceMs?: number;
  leaseMs?: number;
  windowMs?: number;
}

export function newEntry(
  t: InitiatorTask,
  specBytes: Uint8Array,
  delivery: SpecDelivery | undefined,
  observer: LiveObserver | undefined,
  now: number,
): Entry {
  return {
    t,
    delivery,
    specBytes,
    specDigest: digest(specBytes),
    observer,
    queuedAt: Number.POSITIVE_INFINITY,
    heldSince: now,
    offeredUntil: 0,
    probing: false,
  };
}
