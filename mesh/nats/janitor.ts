// The janitor: takes finished tasks out of the store once their retention is over. Reads outcomes
// through a durable consumer that the server keeps, so any peer with the role may do it, and
// several may do it together.
import {
  JANITOR_CONSUMER,
  parseRecordSubject,
  RETAIN_MS_DEFAULT,
  TASKS_STREAM,
  taskGuard,
} from "../../contracts/index.ts";
import type { Clock, Incoming, Log } from "../ports/index.ts";
import type { Link } from "./link.ts";

const BATCH = 256;
const EXPIRES_MS = 10_000;
/** Furthest that one look is put off, ms: the server keeps the waiting list. */
const DELAY_MS_MAX = 3_600_000;

export class Janitor {
  readonly #transport: Link;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #inbox: string;
  #outstanding = 0;
  #renewAt = 0;
  readonly #finished: (owner: string, task: string, rev: number) => Promise<boolean>;
  #tick: { cancel(): void } | undefined;
  #sub: { unsubscribe(): void } | undefined;
  purged = 0;
  refused = 0;

  /**
   * @param finished is the record of this revision the outcome that ends the task? Anybody with a
   *   contractor's rights can store something under an outcome's key; only the one that counts may
   *   lead to a purge, and only its own retention says when.
   */
  constructor(
    transport: Link,
    clock: Clock,
    log: Log,
    principal: string,
    finished: (owner: string, task: string, rev: number) => Promise<boolean>,
  ) {
    this.#transport = transport;
    this.#finished = finished;
    this.#clock = clock;
    this.#log = log;
    this.#inbox = transport.inbox(principal);
  }

  start(): void {
    this.#sub = this.#transport.subscribe(this.#inbox, (m) => this.#onMessage(m));
    const turn = () => {
      if (this.#outstanding === 0 || this.#clock.now() > this.#renewAt) this.#pull();
      this.#tick = this.#clock.after(500, turn);
    };
    turn();
  }

  stop(): void {
    this.#tick?.cancel();
    this.#sub?.unsubscribe();
  }

  #pull(): void {
    this.#outstanding = BATCH;
    this.#renewAt = this.#clock.now() + EXPIRES_MS + 2_000;
    this.#transport.publish(
      `$JS.API.CONSUMER.MSG.NEXT.${TASKS_STREAM}.${JANITOR_CONSUMER}`,
      Buffer.from(JSON.stringify({ batch: BATCH, expires: EXPIRES_MS * 1e6 })),
      { reply: this.#inbox },
    );
  }

  #onMessage(m: Incoming): void {
    const ack = m.reply;
    if (ack === undefined || !ack.startsWith("$JS.ACK.")) {
      if (m.status !== 100) this.#outstanding = 0;
      return;
    }
    this.#outstanding--;
    const key = parseRecordSubject(m.subject);
    if (key === undefined) return this.#transport.publish(ack, Buffer.from("+ACK"));
    const place = ack.split(".");
    const rev = Number(place.at(-4));
    const storedAt = Number(place.at(-2)) / 1e6;
    const dueIn = storedAt + retention(m.data) - this.#clock.wall();
    if (dueIn > 0) {
      const delay = Math.round(Math.min(dueIn, DELAY_MS_MAX) * 1e6);
      this.#transport.publish(ack, Buffer.from(`-NAK {"delay":${delay}}`));
      return;
    }
    this.#finished(key.owner, key.task, rev).then(
      (sound) => {
        if (sound) return this.#purge(key.owner, key.task, ack);
        this.refused++;
        this.#log.warn({ task: key.task }, "an outcome that proves nothing was not acted upon");
        this.#transport.publish(ack, Buffer.from("+ACK"));
      },
      (error: unknown) => {
        this.#log.warn({ task: key.task, error: String(error) }, "a task could not be read");
      },
    );
  }

  #purge(owner: string, task: string, ack: string): void {
    const body = Buffer.from(JSON.stringify({ filter: taskGuard(owner, task) }));
    this.#transport
      .request(`$JS.API.STREAM.PURGE.${TASKS_STREAM}`, body, { timeoutMs: 5_000 })
      .then((answer) => {
        const { error } = JSON.parse(Buffer.from(answer.data).toString()) as { error?: object };
        if (error !== undefined) throw new Error(JSON.stringify(error));
        this.purged++;
        this.#transport.publish(ack, Buffer.from("+ACK"));
      })
      .catch((error: unknown) => {
        this.#log.warn({ task, error: String(error) }, "a finished task could not be purged");
      });
  }
}

/** Retention that the outcome itself names, ms. */
function retention(body: Uint8Array): number {
  try {
    const { retainMs } = JSON.parse(Buffer.from(body).toString()) as { retainMs?: unknown };
    return typeof retainMs === "number" && retainMs >= 0 ? retainMs : RETAIN_MS_DEFAULT;
  } catch {
    return RETAIN_MS_DEFAULT;
  }
}
