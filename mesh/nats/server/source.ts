// What every way of getting a nats-server has in common.
import type { Env, Say } from "./child.ts";

export interface SourceContext {
  readonly env: Env;
  readonly say: Say;
  /** An empty folder for this attempt; removed afterwards by the caller. */
  readonly scratch: string;
}

export interface Fetched {
  /** The program, somewhere below `scratch`, executable. */
  readonly binary: string;
  /** Where it came from and who vouches for it, for the user. */
  readonly origin: string;
}

/** One way of getting a nats-server. `fetch` rejects with a one-line reason to pass it over. */
export interface Source {
  readonly name: "release" | "go" | "debian";
  readonly fetch: (context: SourceContext) => Promise<Fetched>;
}
