// What the adapters of this folder need of a connection beyond the port. Real connections have
// it, and so has the simulator's, on which the same adapters run.
import type { Incoming, Transport } from "../ports/index.ts";

export interface Link extends Transport {
  /** A subject of this connection's own that nobody else uses, under `_INBOX.<principal>`. */
  inbox(principal?: string): string;
  /** Calls once when the link goes down, at once when it is; the result takes that back. */
  onceLost(handler: () => void): () => void;
  /** As `request`, with headers. */
  ask(
    subject: string,
    data: Uint8Array,
    options: { timeoutMs: number; headers: Readonly<Record<string, string>> },
  ): Promise<Incoming>;
}
