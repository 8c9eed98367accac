// Events on NATS: messages on `mesh.event.<topic>` that a stream keeps for a while, so that
// `nats pub` can tell one too. Whoever waits hears the stream's republished messages and reads
// from where it stood, without a consumer.
import { EVENTS_STREAM } from "../../contracts/index.ts";
import type { Clock, EventLog, Incoming, MeshEvent } from "../ports/index.ts";
import { directGet } from "./direct-get.ts";
import type { Link } from "./link.ts";
import { noStream, placeOf } from "./put-ack.ts";

const TIMEOUT_MS = 5_000;
const EMPTY = new Uint8Array(0);
const HEAD = "mesh.event.";
const ECHO = "mesh.happened.";

export class NatsEvents implements EventLog {
  readonly #link: Link;
  readonly #clock: Clock;
  readonly #principal: string;
  readonly #watchers = new Set<() => void>();

  constructor(link: Link, clock: Clock, principal: string) {
    this.#link = link;
    this.#clock = clock;
    this.#principal = principal;
    // What happened while the link was down was told to nobody.
    link.onState((state) => {
      if (state === "up") for (const look of this.#watchers) look();
    });
  }

  async emit(topic: string, data: Uint8Array): Promise<number> {
    const m = await this.#link.ask(`${HEAD}${topic}`, data, {
      timeoutMs: TIMEOUT_MS,
      headers: {},
    });
    return placeOf(m, EVENTS_STREAM, "the event", { fenced: false });
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
    if (m.status === 503) throw noStream(EVENTS_STREAM);
    return m.status === 404 ? 0 : Number(m.header("Nats-Sequence"));
  }

  watch(pattern: string, then: () => void): () => void {
    const sub = this.#link.subscribe(`${ECHO}${pattern}`, (m) => {
      if (m.header("Nats-Stream") === EVENTS_STREAM) then();
    });
    // A function of its own for each watch: a caller may give the same one twice.
    const look = () => then();
    this.#watchers.add(look);
    return () => {
      this.#watchers.delete(look);
      sub.unsubscribe();
    };
  }
}

function eventOf(m: Incoming): MeshEvent {
  return {
    seq: Number(m.header("Nats-Sequence")),
    topic: (m.header("Nats-Subject") ?? "").slice(HEAD.length),
    data: m.data,
    at: Date.parse(m.header("Nats-Time-Stamp") ?? "") || 0,
  };
}
