// The first Ctrl-C, or SIGTERM, ends a run with what it has so far, the second ends the process.

/** One key in a terminal may come twice, s: from it, and from the parent that waits (heap.ts). */
const ONE_KEY_S = 0.5;

const EXIT = { SIGINT: 130, SIGTERM: 143 } as const;

export interface Interrupt {
  stopped(): boolean;
  /** The status that tells of it. */
  readonly exit: number;
  /** The signals do what they did before. */
  release(): void;
}

export function onInterrupt(): Interrupt {
  let at: number | undefined;
  let exit: number = EXIT.SIGINT;
  const stop = (signal: NodeJS.Signals) => {
    exit = EXIT[signal as keyof typeof EXIT];
    if (at !== undefined && process.uptime() - at > ONE_KEY_S) process.exit(exit);
    at = process.uptime();
  };
  process.on("SIGINT", stop).on("SIGTERM", stop);
  return {
    stopped: () => at !== undefined,
    get exit() {
      return exit;
    },
    release: () => void process.off("SIGINT", stop).off("SIGTERM", stop),
  };
}
