// SIGTERM and SIGINT let an agent finish what it runs. One pair of listeners for all meshes of
// the process, gone when the last of them is closed.
const SIGNALS = { SIGTERM: 15, SIGINT: 2 } as const;
type Signal = keyof typeof SIGNALS;

/** npm and terminals send the same signal twice: a repeat within this is no second wish, ms. */
const REPEAT_MS = 500;

interface Drainable {
  drain(): Promise<void>;
  onClosed(run: () => void): void;
}

const meshes = new Set<Drainable>();
let firstAt: number | undefined;

/** Drains the mesh on the first signal; a second one, later than a repeat, ends the process. */
export function drainOnSignals(mesh: Drainable): void {
  if (meshes.size === 0 && firstAt === undefined) {
    for (const signal of Object.keys(SIGNALS)) process.on(signal, onSignal);
  }
  meshes.add(mesh);
  mesh.onClosed(() => {
    meshes.delete(mesh);
    if (meshes.size > 0 || firstAt !== undefined) return;
    for (const signal of Object.keys(SIGNALS)) process.removeListener(signal, onSignal);
  });
}

function onSignal(signal: Signal): void {
  const now = performance.now();
  if (firstAt !== undefined) {
    if (now - firstAt < REPEAT_MS) return;
    process.exit(128 + SIGNALS[signal]);
  }
  firstAt = now;
  void Promise.allSettled([...meshes].map((mesh) => mesh.drain())).then(() => {
    // Who listens for this signal too decides himself when the process ends.
    if (process.listenerCount(signal) > 1) return;
    process.exit(process.exitCode ?? (signal === "SIGINT" ? 128 + SIGNALS.SIGINT : 0));
  });
}
