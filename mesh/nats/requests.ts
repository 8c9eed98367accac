// Questions and their answers over one inbox of this connection's own. Each question has a token
// that nobody can guess: whoever knows an inbox may send to it (ADR 0015), so who was asked, and
// the server, are all that can answer. The client's own requests count their tokens on.
import { ParleyError } from "../../contracts/index.ts";
import type { Incoming, PublishOptions, Subscription, Timer } from "../ports/index.ts";

export interface AskOptions {
  timeoutMs: number;
  signal?: AbortSignal;
  headers?: Readonly<Record<string, string>>;
}

interface Wire {
  inbox(): string;
  subscribe(pattern: string, handler: (message: Incoming) => void): Subscription;
  /** @throws Error when the client refuses it */
  send(subject: string, data: Uint8Array, options: PublishOptions): void;
  after(ms: number, run: () => void): Timer;
  token(): string;
}

interface Asked {
  subject: string;
  settle(answer: Incoming | Error): void;
}

export class Requests {
  readonly #wire: Wire;
  #inbox: string | undefined;
  readonly #asked = new Map<string, Asked>();

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  /** @throws ParleyError E_TIMEOUT, E_NO_CAPABILITY, E_PERMISSION, E_CONNECTION */
  ask(subject: string, data: Uint8Array, options: AskOptions): Promise<Incoming> {
    const { signal, headers, timeoutMs } = options;
    const inbox = this.#listening();
    const token = this.#wire.token();
    return new Promise((resolve, reject) => {
      const end = (answer: Incoming | Error): void => {
        timer.cancel();
        signal?.removeEventListener("abort", abort);
        this.#asked.delete(token);
        if (answer instanceof Error) reject(answer);
        else resolve(answer);
      };
      const abort = (): void => end(signal?.reason as Error);
      const late = () => new ParleyError("E_TIMEOUT", `no answer on ${subject} in time`);
      const timer = this.#wire.after(timeoutMs, () => end(late()));
      signal?.addEventListener("abort", abort, { once: true });
      this.#asked.set(token, { subject, settle: end });
      const reply = `${inbox}.${token}`;
      try {
        this.#wire.send(subject, data, headers === undefined ? { reply } : { reply, headers });
      } catch (error) {
        end(error as Error);
      }
    });
  }

  #listening(): string {
    if (this.#inbox !== undefined) return this.#inbox;
    const inbox = this.#wire.inbox();
    this.#inbox = inbox;
    this.#wire.subscribe(`${inbox}.*`, (m) => {
      const asked = this.#asked.get(m.subject.slice(inbox.length + 1));
      if (asked === undefined) return;
      if (m.status !== 503) return asked.settle(m);
      asked.settle(new ParleyError("E_NO_CAPABILITY", `nobody answers on ${asked.subject}`));
    });
    return inbox;
  }

  /** The server refused a message on this subject. Was it a question? */
  refused(subject: string): boolean {
    for (const asked of this.#asked.values()) {
      if (asked.subject !== subject) continue;
      const text = `this identity may not use ${subject}; see: parley identity ls`;
      asked.settle(new ParleyError("E_PERMISSION", text));
      return true;
    }
    return false;
  }

  /** Nobody will answer any more. */
  close(): void {
    const gone = (subject: string) => new ParleyError("E_CONNECTION", `closed: ${subject}`);
    for (const asked of [...this.#asked.values()]) asked.settle(gone(asked.subject));
  }
}
