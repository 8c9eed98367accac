// The store of the broker: the mesh's own streams and consumers, built from the same settings that
// a real server is given, behind the subjects by which clients reach them.
import { TASKS_STREAM } from "../../../contracts/index.ts";
import { consumerConfigs, streamConfigs } from "../../../mesh/nats/stream-configs.ts";
import { EPOCH_MS } from "../clock.ts";
import type { World } from "../world.ts";
import { Consumer, type Wire } from "./consumer.ts";
import { answerDirectGet, answerMessageGet } from "./direct-get.ts";
import { type Headers, VirtualMessage } from "./message.ts";
import { Slabs } from "./slabs.ts";
import { StoredMessage } from "./stored-message.ts";
import { type Ack, lifeOf, type Stored, Stream } from "./stream.ts";

const NANOS_PER_MS = 1e6;
/** How long a message takes from one stream into another, ms (nats-facts 4.5). */
const SOURCE_MS = 1;
/** Ends of life are noticed so often, ms (nats-facts 1.2: at most 250 ms late). */
const WHEEL_MS = 250;
/** Tokens of a guard: `$KV.mesh_tasks.<owner>.<task>`. */
const TASK_TOKENS = 4;

interface Settings {
  name: string;
  subjects?: readonly string[];
  discard_new_per_subject?: boolean;
  duplicate_window?: number;
  max_msg_size?: number;
  allow_msg_ttl?: boolean;
  subject_delete_marker_ttl?: number;
  republish?: { src: string; dest: string };
  sources?: { name: string; subject_transforms: { src: string; dest: string }[] }[];
}

/** What a record's storing tells, for whoever judges or keeps house. */
export type StoredHook = (stream: string, stored: Stored, wallMs: number) => void;

export interface JetStreamOptions {
  ackWaitMs?: number | undefined;
}

export class JetStream {
  readonly streams = new Map<string, Stream>();
  readonly #world: World;
  readonly #wire: Wire;
  readonly #consumers = new Map<string, Consumer>();
  readonly #filters: { consumer: Consumer; filter: string[] }[] = [];
  readonly #sourced = new Map<string, { to: Stream; map: Mapping }[]>();
  /** By the first two tokens of their patterns, which are literal in all of them. */
  readonly #captures = new Map<string, Map<string, { pattern: string[]; stream: Stream }[]>>();
  readonly #wheels = new Map<string, Map<number, number[]>>();
  readonly #hooks: StoredHook[] = [];
  /** Records go within a minute, cards stay: in one slab each card would keep its neighbours. */
  readonly #passing = new Slabs();
  readonly #lasting = new Slabs();

  constructor(world: World, wire: Wire, options: JetStreamOptions = {}) {
    this.#world = world;
    this.#wire = wire;
    for (const settings of streamConfigs({ audit: false })) this.#addStream(settings);
    for (const c of consumerConfigs()) this.#addConsumer(c, options.ackWaitMs);
  }

  #addStream(settings: Settings): void {
    const { republish, sources = [], subjects = [] } = settings;
    const config = {
      name: settings.name,
      subjects,
      once: settings.discard_new_per_subject === true,
      ttl: settings.allow_msg_ttl === true,
      duplicateMs: (settings.duplicate_window ?? 0) / NANOS_PER_MS,
      ...(settings.max_msg_size === undefined ? {} : { bytesMax: settings.max_msg_size }),
      ...(settings.subject_delete_marker_ttl === undefined
        ? {}
        : { markerMs: settings.subject_delete_marker_ttl / NANOS_PER_MS }),
      ...(republish === undefined ? {} : { republish: mapping(republish.src, republish.dest) }),
      ...(settings.name === TASKS_STREAM ? { family: TASK_TOKENS } : {}),
    };
    const slabs = settings.name === TASKS_STREAM ? this.#passing : this.#lasting;
    const stream = new Stream(config, slabs);
    this.streams.set(settings.name, stream);
    for (const text of subjects) {
      const pattern = text.split(".");
      const [first = "", second = ""] = pattern;
      const near = this.#captures.get(first) ?? new Map();
      near.set(second, [...(near.get(second) ?? []), { pattern, stream }]);
      this.#captures.set(first, near);
    }
    for (const { name, subject_transforms } of sources) {
      const [{ src, dest } = { src: ">", dest: ">" }] = subject_transforms;
      const to = { to: stream, map: mapping(src, dest) };
      this.#sourced.set(name, [...(this.#sourced.get(name) ?? []), to]);
    }
  }

  #addConsumer(c: ReturnType<typeof consumerConfigs>[number], ackWaitMs: number | undefined): void {
    const stream = this.stream(TASKS_STREAM);
    const consumer = new Consumer(
      this.#world,
      stream,
      {
        name: c.durable_name,
        filter: c.filter_subject,
        ackWaitMs: ackWaitMs ?? c.ack_wait / NANOS_PER_MS,
        pendingMax: c.max_ack_pending,
      },
      this.#wire,
      (at) => `${Math.round(EPOCH_MS + at)}000000`,
    );
    this.#consumers.set(`${TASKS_STREAM}.${c.durable_name}`, consumer);
    this.#filters.push({ consumer, filter: c.filter_subject.split(".") });
  }

  stream(name: string): Stream {
    const found = this.streams.get(name);
    if (found === undefined) throw new RangeError(`there is no stream ${name} in this world`);
    return found;
  }

  consumer(name: string): Consumer | undefined {
    return this.#consumers.get(`${TASKS_STREAM}.${name}`);
  }

  /** Called for every message that a stream takes in. */
  onStored(hook: StoredHook): void {
    this.#hooks.push(hook);
  }

  /** The server was killed. Messages are safe; what consumers had not written down is not. */
  killed(): void {
    for (const consumer of this.#consumers.values()) consumer.killed();
  }

  /** A consumer that nobody will ever pull from need not keep a list of all that it missed. */
  unwatch(name: string): void {
    const at = this.#filters.findIndex((f) => f.consumer.config.name === name);
    if (at >= 0) this.#filters.splice(at, 1);
  }

  /** Takes the message in when a stream captures its subject; false when none does. */
  capture(
    subject: string,
    tokens: readonly string[],
    data: Uint8Array,
    headers: Headers | undefined,
    reply: string | undefined,
  ): boolean {
    const near = this.#captures.get(tokens[0] ?? "")?.get(tokens[1] ?? "");
    const stream = near?.find((c) => within(c.pattern, tokens))?.stream;
    if (stream === undefined) return false;
    const ack = stream.put(subject, data, headers, this.#world.now);
    if (ack.ok && ack.stored !== undefined) this.#stored(stream, ack.stored, tokens);
    if (reply !== undefined) this.#wire.emit(reply, ackMessage(reply, stream.config.name, ack));
    return true;
  }

  #stored(
    stream: Stream,
    stored: Stored,
    tokens: readonly string[] = stored.subject.split("."),
  ): void {
    const { name, republish } = stream.config;
    const life = stream.config.ttl === true ? lifeOf(stored.headers) : undefined;
    if (life !== undefined) this.#mortal(stream, stored, life);
    const dest = republish?.(tokens);
    if (dest !== undefined)
      this.#wire.emit(dest, new StoredMessage(dest, name, stored, stored.before));
    if (name === TASKS_STREAM) {
      for (const { consumer, filter } of this.#filters) {
        if (within(filter, tokens)) consumer.offer(stored);
      }
    }
    for (const { to, map } of this.#sourced.get(name) ?? []) {
      this.#world.after(SOURCE_MS, () => {
        const subject = map(tokens) ?? stored.subject;
        const copy = to.store(subject, stored.data, stored.headers, this.#world.now);
        this.#stored(to, copy);
      });
    }
    for (const hook of this.#hooks) hook(name, stored, EPOCH_MS + stored.at);
  }

  #mortal(stream: Stream, stored: Stored, lifeMs: number): void {
    const slot = Math.ceil((this.#world.now + lifeMs) / WHEEL_MS);
    let wheel = this.#wheels.get(stream.config.name);
    if (wheel === undefined) {
      wheel = new Map();
      this.#wheels.set(stream.config.name, wheel);
    }
    const due = wheel.get(slot);
    if (due !== undefined) return void due.push(stored.seq);
    const list = [stored.seq];
    wheel.set(slot, list);
    this.#world.at(slot * WHEEL_MS, () => {
      wheel.delete(slot);
      for (const seq of list) this.#die(stream, seq);
    });
  }

  /** What was replaced meanwhile is gone already. A notice of an end has none of its own. */
  #die(stream: Stream, seq: number): void {
    const stored = stream.remove(seq);
    const { markerMs } = stream.config;
    if (stored === undefined || markerMs === undefined || isMarker(stored.headers)) return;
    const headers = { "Nats-Marker-Reason": "MaxAge", "Nats-TTL": `${markerMs / 1_000}s` };
    const marker = stream.store(stored.subject, new Uint8Array(0), headers, this.#world.now);
    this.#stored(stream, marker);
  }

  /** A request to `$JS.API.`; false when there is nobody to answer it. */
  api(tokens: readonly string[], data: Uint8Array, reply: string | undefined): boolean {
    if (tokens[2] === "DIRECT" && tokens[3] === "GET") {
      const stream = this.streams.get(tokens[4] ?? "");
      if (stream === undefined || reply === undefined) return stream !== undefined;
      const subject = tokens.slice(5).join(".");
      const answers = answerDirectGet(stream, subject, data, reply);
      for (const answer of answers) this.#wire.emit(reply, answer);
      return true;
    }
    if (tokens[2] === "CONSUMER" && tokens[3] === "MSG" && tokens[4] === "NEXT") {
      const consumer = this.#consumers.get(`${tokens[5]}.${tokens[6]}`);
      if (consumer === undefined || reply === undefined) return false;
      const asked = JSON.parse(Buffer.from(data).toString()) as {
        batch?: number;
        expires?: number;
        idle_heartbeat?: number;
      };
      const { batch = 1, expires = 0, idle_heartbeat: beat = 0 } = asked;
      consumer.pull(reply, batch, expires / NANOS_PER_MS, beat / NANOS_PER_MS);
      return true;
    }
    if (tokens[2] === "STREAM" && tokens[3] === "MSG" && tokens[4] === "GET") {
      const stream = this.streams.get(tokens[5] ?? "");
      if (stream === undefined || reply === undefined) return stream !== undefined;
      this.#wire.emit(reply, new VirtualMessage(reply, answerMessageGet(stream, data)));
      return true;
    }
    if (tokens[2] === "STREAM" && tokens[3] === "PURGE") {
      const { filter = ">" } = JSON.parse(Buffer.from(data).toString()) as { filter?: string };
      const purged = this.streams.get(tokens[4] ?? "")?.purge(filter);
      if (purged === undefined) return false;
      const text = Buffer.from(JSON.stringify({ success: true, purged }));
      if (reply !== undefined) this.#wire.emit(reply, new VirtualMessage(reply, text));
      return true;
    }
    return false;
  }

  /** `$JS.ACK.<stream>.<consumer>.<deliveries>.<seq>…` */
  answer(tokens: readonly string[], data: Uint8Array): boolean {
    const consumer = this.#consumers.get(`${tokens[2]}.${tokens[3]}`);
    consumer?.answer(Number(tokens[5]), data);
    return consumer !== undefined;
  }
}

function isMarker(headers: Headers | undefined): boolean {
  return (
    headers !== undefined &&
    (headers["KV-Operation"] !== undefined || headers["Nats-Marker-Reason"] !== undefined)
  );
}

function ackMessage(reply: string, stream: string, ack: Ack): VirtualMessage {
  const text = ack.ok
    ? `{"stream":"${stream}","seq":${ack.seq}${ack.duplicate ? ',"duplicate":true' : ""}}`
    : `{"error":{"code":${ack.code},"err_code":${ack.err},"description":"${ack.text}"},` +
      `"stream":"${stream}","seq":0}`;
  return new VirtualMessage(reply, Buffer.from(text));
}

function within(pattern: readonly string[], tokens: readonly string[]): boolean {
  for (let i = 0; i < pattern.length; i++) {
    if (pattern[i] === ">") return tokens.length > i;
    if (i >= tokens.length || (pattern[i] !== "*" && pattern[i] !== tokens[i])) return false;
  }
  return pattern.length === tokens.length;
}

/** Where a subject leads; undefined: the mapping is not for it. */
type Mapping = (tokens: readonly string[]) => string | undefined;

/** The server's subject mapping: `{{wildcard(n)}}`, or a prefix when both end in `>`. */
function mapping(src: string, dest: string): Mapping {
  const from = src.split(".");
  if (src.endsWith(">") && dest.endsWith(">")) {
    const other = dest.split(".").slice(0, -1);
    const same = from.length - 1;
    return (tokens) =>
      within(from, tokens) ? [...other, ...tokens.slice(same)].join(".") : undefined;
  }
  const stars = from.flatMap((token, at) => (token === "*" ? [at] : []));
  const parts = dest.split(".").map((token) => {
    const n = /^\{\{wildcard\((\d+)\)\}\}$/.exec(token)?.[1];
    return n === undefined ? token : (stars[Number(n) - 1] as number);
  });
  return (tokens) => {
    if (!within(from, tokens)) return undefined;
    return parts.map((part) => (typeof part === "number" ? tokens[part] : part)).join(".");
  };
}
