// Events on NATS: messages on `mesh.event.<topic>` that a stream keeps for a while, so that
// `nats pub` can tell one too. Whoever waits hears the stream's republished messages and reads
// from where it stood, without a consumer.
import { EVENTS_STREAM, ParleyError } from "../../contracts/index.ts";
import type { Clock, EventLog, Incoming, MeshEvent } from "../ports/index.ts";
import { directGet } from "./direct-get.ts";
import type { Link } from "./link.ts";

const TIMEOUT_MS = 5_000;
const EMPTY = new Uint8Array(0);
const HEAD = "mesh.event.";
const ECHO = "mesh.happened.";

export class NatsEvents implements EventLog {
  readonly #link: Link;
  readonly #clock: Clock;
  readonly #principal: string;

  constructor(link: Link, clock: Clock, principal: string) {
    this.#link = link;
    this.#clock = clock;
    this.#principal = principal;
  }

  async emit(topic: string, data: Uint8Array): Promise<number> {
    const m = await this.#link.ask(`${HEAD}${topic}`, data, {
      timeoutMs: TIMEOUT_MS,
      headers: {},
    });
    if (m.status === 503) throw noStream();
    const ack = JSON.parse(Buffer.from(m.data).toString()) as {
      seq?: number;
      error?: { description?: string };
    };
    if (ack.error === undefined) return ack.seq ?? 0;
    throw new ParleyError("E_STORE", `the event was not stored: ${ack.error.description}`);
  }

  async read(pattern: string, after: number, most: number): Promise<MeshEvent[]> {
    const found = await directGet(
      this.#link,
      this.#clock,
      this.#principal,
      EVENTS_STREAM,
      { seq: after + 1, batch: most, next_by_subj: `${HEAD}${pattern}` },
      TIMEOUT_MS,
    );
    return found.map(eventOf);
  }

  async last(pattern: string): Promise<number> {
    const subject = `$JS.API.DIRECT.GET.${EVENTS_STREAM}.${HEAD}${pattern}`;
    const m = await this.#link.request(subject, EMPTY, { timeoutMs: TIMEOUT_MS });
    if (m.status === 503) throw noStream();
    return m.status === 404 ? 0 : Number(m.header("Nats-Sequence"));
  }

  watch(pattern: string, then: () => void): () => void {
    const sub = this.#link.subscribe(`${ECHO}${pattern}`, (m) => {
      if (m.header("Nats-Stream") === EVENTS_STREAM) then();
    });
    let over = false;
    // What happened while the link was down was told to nobody.
    this.#link.onState((state) => {
      if (state === "up" && !over) then();
    });
    return () => {
      over = true;
      sub.unsubscribe();
    };
  }
}

function noStream(): ParleyError {
  return new ParleyError("E_STORE", `there is no stream ${EVENTS_STREAM}; see: parley doctor`);
}

function eventOf(m: Incoming): MeshEvent {
  return {
    seq: Number(m.header("Nats-Sequence")),
    topic: (m.header("Nats-Subject") ?? "").slice(HEAD.length),
    data: m.data,
    at: Date.parse(m.header("Nats-Time-Stamp") ?? "") || 0,
  };
}
