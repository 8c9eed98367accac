// Keeps the registry equal to the store: one reading at the start, one after every return of the
// connection, repeated until it succeeds. Between them the server's notices suffice.
import type { CardStore, Clock, Log, Transport } from "../ports/index.ts";
import type { Counters } from "./counters.ts";
import type { Registry } from "./registry.ts";

/** Pause after a reading that failed, ms; doubled up to the most. */
const PAUSE_MS = 100;
const PAUSE_MS_MAX = 5_000;

export interface ViewPorts {
  cards: CardStore;
  clock: Clock;
  transport: Transport;
  log: Log;
  counters: Counters;
}

export class View {
  readonly #d: ViewPorts;
  readonly #registry: Registry;
  #reading: Promise<void> | undefined;
  /** The connection returned during a reading: what that one has seen may be from before. */
  #again = false;
  #retry: { cancel(): void } | undefined;
  #pauseMs = PAUSE_MS;
  #stopped = false;

  constructor(ports: ViewPorts, registry: Registry) {
    this.#d = ports;
    this.#registry = registry;
  }

  /** Settles with the reading, whether it succeeded or will be repeated. */
  refresh(): Promise<void> {
    this.#retry?.cancel();
    if (this.#reading !== undefined) {
      this.#again = true;
      return this.#reading;
    }
    this.#reading = this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  stop(): void {
    this.#stopped = true;
    this.#retry?.cancel();
  }

  async #read(): Promise<void> {
    do {
      this.#again = false;
      const round = this.#registry.begin();
      try {
        for (const e of await this.#d.cards.snapshot()) this.#registry.admitStored(e);
        if (this.#again) continue;
        this.#registry.finish(round);
        this.#pauseMs = PAUSE_MS;
        this.#d.counters.add("view.read");
      } catch (error) {
        if (!this.#again) this.#later(error);
      }
    } while (this.#again && !this.#stopped);
  }

  /** Without a connection there is nothing to repeat: its return begins a reading. */
  #later(error: unknown): void {
    this.#d.counters.add("view.failed");
    this.#d.log.warn({ error: String(error) }, "the registry could not be read");
    if (this.#stopped || this.#d.transport.state() !== "up") return;
    this.#retry = this.#d.clock.after(this.#pauseMs, () => void this.refresh());
    this.#pauseMs = Math.min(PAUSE_MS_MAX, this.#pauseMs * 2);
  }
}
