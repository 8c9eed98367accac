// The first Ctrl-C ends a run with what it has so far, the second ends the process.

/** One key in a terminal may come twice, s: from it, and from the parent that waits (heap.ts). */
const ONE_KEY_S = 0.5;

export interface Interrupt {
  stopped(): boolean;
  /** Ctrl-C does what it did before. */
  release(): void;
}

export function onInterrupt(): Interrupt {
  let at: number | undefined;
  const stop = () => {
    if (at !== undefined && process.uptime() - at > ONE_KEY_S) process.exit(130);
    at = process.uptime();
  };
  process.on("SIGINT", stop);
  return { stopped: () => at !== undefined, release: () => void process.off("SIGINT", stop) };
}
