// What every connection keeps of itself: whether it is up, and who wants to be told.
import { ParleyError } from "../../contracts/index.ts";
import type { ConnectionState } from "../ports/index.ts";
import type { Link } from "./link.ts";

type Told = Pick<Link, "state" | "onState" | "onceLost" | "onError" | "established">;

export abstract class LinkStatus implements Told {
  #state: ConnectionState = "up";
  readonly #stateHandlers: ((state: ConnectionState) => void)[] = [];
  readonly #errorHandlers: ((error: Error) => void)[] = [];
  readonly #lost = new Set<() => void>();
  readonly #found = new Set<() => void>();

  /** Tells everybody, once for each change; closed is for good. */
  protected become(state: ConnectionState): void {
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    for (const handler of this.#stateHandlers) handler(state);
    if (state !== "down") callOnce(this.#found);
    if (state !== "up") callOnce(this.#lost);
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

  abstract flush(): Promise<void>;

  async established(): Promise<void> {
    while (this.#state !== "closed") {
      let tell: () => void = () => undefined;
      const found = new Promise<void>((resolve) => {
        tell = resolve;
      });
      this.#found.add(tell);
      try {
        return await this.flush();
      } catch {
        // The client rejects when it begins to dial again; that it is there comes after that.
        await found;
      } finally {
        this.#found.delete(tell);
      }
    }
    throw new ParleyError("E_CONNECTION", "the connection was closed; start the process again");
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

function callOnce(handlers: Set<() => void>): void {
  const all = [...handlers];
  handlers.clear();
  for (const handler of all) handler();
}
