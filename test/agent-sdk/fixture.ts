// A mesh of one's own per test file, and agents that join it as an author's would.
import { afterAll, beforeAll, vi } from "vitest";
import { type JoinOptions, join, type Log, type Mesh } from "../../agent-sdk/index.ts";
import { type LocalMesh, startLocalMesh } from "../../mesh/local.ts";

export { texts } from "./fixture-capabilities.ts";

export const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};

export interface Fixture {
  local: LocalMesh;
  /** Joins with an identity minted from the mesh's folder; closed at the end of the file. */
  join(name: string, options?: Partial<JoinOptions>): Promise<Mesh>;
  /** Resolves when `mesh` knows so many agents of a capability. */
  sees(mesh: Mesh, capability: { name: string }, count: number): Promise<void>;
}

export function useMesh(): Fixture {
  const joined: Mesh[] = [];
  const fixture = {
    async join(name: string, options: Partial<JoinOptions> = {}) {
      const mesh = await join({
        name,
        server: fixture.local.server.url,
        home: fixture.local.home.dir,
        log: silent,
        onSignals: "ignore",
        ...options,
      });
      joined.push(mesh);
      return mesh;
    },
    async sees(mesh: Mesh, capability: { name: string }, count: number) {
      await vi.waitFor(
        async () => {
          const found = await mesh.agents({ capability: capability.name });
          if (found.length !== count) throw new Error(`${found.length} agents, not ${count}`);
        },
        { timeout: 5_000, interval: 5 },
      );
    },
  } as Fixture;
  beforeAll(async () => {
    fixture.local = await startLocalMesh();
  }, 30_000);
  afterAll(async () => {
    await Promise.all(joined.map((mesh) => mesh.close()));
    await fixture.local?.stop();
  }, 30_000);
  return fixture;
}

/** A promise with its ends outside. */
export function gate<T = void>(): {
  promise: Promise<T>;
  open: (value: T) => void;
} {
  const { promise, resolve } = Promise.withResolvers<T>();
  return { promise, open: resolve };
}

/** Resolves when the signal is aborted, with its reason. */
export function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(signal.reason);
    signal.addEventListener("abort", () => resolve(signal.reason), { once: true });
  });
}

/** The code of the ParleyError that a promise is rejected with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return "no error";
}
