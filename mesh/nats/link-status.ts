// What every connection keeps of itself: whether it is up, and who wants to be told.
import type { ConnectionState } from "../ports/index.ts";
import type { Link } from "./link.ts";

type Told = Pick<Link, "state" | "onState" | "onceLost" | "onError">;

export abstract class LinkStatus implements Told {
  #state: ConnectionState = "up";
  readonly #stateHandlers: ((state: ConnectionState) => void)[] = [];
  readonly #errorHandlers: ((error: Error) => void)[] = [];
  readonly #lost = new Set<() => void>();

  /** Tells everybody, once for each change; closed is for good. */
  protected become(state: ConnectionState): void {
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    for (const handler of this.#stateHandlers) handler(state);
    if (state === "up") return;
    const lost = [...this.#lost];
    this.#lost.clear();
    for (const handler of lost) handler();
  }

  /** Closed, and nobody told: the process that would be is gone. */
  protected vanish(): void {
    this.#state = "closed";
  }

  protected report(error: Error): void {
    for (const handler of this.#errorHandlers) handler(error);
  }

  state(): ConnectionState {
    return this.#state;
  }

  onState(handler: (state: ConnectionState) => void): void {
    this.#stateHandlers.push(handler);
  }

  onceLost(handler: () => void): () => void {
    if (this.#state !== "up") handler();
    else this.#lost.add(handler);
    return () => this.#lost.delete(handler);
  }

  onError(handler: (error: Error) => void): void {
    this.#errorHandlers.push(handler);
  }
}
