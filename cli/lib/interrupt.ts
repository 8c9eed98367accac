// Ctrl-C and SIGTERM: the first asks the command to end in order, the second ends it at once.
import { Interrupted } from "./errors.ts";

let controller: AbortController | undefined;

/** Aborted by the first SIGINT or SIGTERM; the reason is an Interrupted. */
export function interruption(): AbortSignal {
  if (controller !== undefined) return controller.signal;
  const own = new AbortController();
  controller = own;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      const reason = new Interrupted(signal);
      if (own.signal.aborted) process.exit(reason.exit);
      own.abort(reason);
    });
  }
  return own.signal;
}

/** What the promise gives, unless Ctrl-C comes first. */
export function orInterrupted<T>(promise: Promise<T>): Promise<T> {
  const signal = interruption();
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
