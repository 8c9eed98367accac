// A durable pull consumer with explicit acknowledgement: hands each message of its filter to one
// who asked, and to another one when nobody said anything about it for the ack wait.
import type { World } from "../world.ts";
import { statusMessage, VirtualMessage } from "./message.ts";
import type { Stored, Stream } from "./stream.ts";

export interface ConsumerConfig {
  name: string;
  filter: string;
  ackWaitMs: number;
  pendingMax: number;
}

interface Pull {
  reply: string;
  left: number;
  done: boolean;
  /** When something was last sent for it. */
  saidAt: number;
}

interface Pending {
  deadline: number;
  deliveries: number;
}

/** A consumer's state is written at most so often, ms (nats-server, consumerFileStore). */
const WRITE_MS = 100;

/** Second letter of `+WPI`, which no other answer of that length has. */
const WORKING = "W".charCodeAt(0);

/** World time, ms, to the nanoseconds since the epoch that a server writes, as text. */
export type Nanos = (at: number) => string;

/** What the store knows of the server around it. */
export interface Wire {
  /** Sends to whoever listens on the subject, without asking for permission. */
  emit(subject: string, message: VirtualMessage): void;
  /** Does anybody listen there? Requests are forgotten when nobody does, whoever made them. */
  hears(subject: string): boolean;
}

export class Consumer {
  readonly config: ConsumerConfig;
  readonly #world: World;
  readonly #stream: Stream;
  readonly #wire: Wire;
  readonly #nanos: Nanos;
  /** Never handed out yet, from `#first` on. */
  #fresh: number[] = [];
  #first = 0;
  #again: number[] = [];
  #pending = new Map<number, Pending>();
  #deliveries = new Map<number, number>();
  #pulls: Pull[] = [];
  #handed = 0;
  /** How to take back what has changed since its state was last written to the disk. */
  #unwritten: (() => void)[] = [];
  #writtenAt = Number.NEGATIVE_INFINITY;
  /** The newest message that was handed out, as known and as written. */
  #newest = 0;
  #newestWritten = 0;

  constructor(world: World, stream: Stream, config: ConsumerConfig, wire: Wire, nanos: Nanos) {
    this.#world = world;
    this.#stream = stream;
    this.config = config;
    this.#wire = wire;
    this.#nanos = nanos;
  }

  /** Handed out and not acknowledged. */
  get pending(): number {
    return this.#pending.size;
  }

  /** The newest message of which the disk knows that it was handed out; 0: of none. */
  get written(): number {
    return this.#world.now < this.#writtenAt + WRITE_MS ? this.#newestWritten : this.#newest;
  }

  /** Not handed out yet, or to be handed out again. */
  get waiting(): number {
    return this.#fresh.length - this.#first + this.#again.length;
  }

  /** A message of the filter was stored. */
  offer(stored: Stored): void {
    this.#fresh.push(stored.seq);
    this.#pump();
  }

  /** @param beatMs a sign of life so often while nothing is handed out; 0: none */
  pull(reply: string, batch: number, expiresMs: number, beatMs: number): void {
    const pull: Pull = { reply, left: batch, done: false, saidAt: this.#world.now };
    this.#pulls.push(pull);
    this.#world.after(expiresMs, () => this.#expire(pull));
    if (beatMs > 0) this.#world.after(beatMs, () => this.#beat(pull, beatMs));
    this.#pump();
  }

  #beat(pull: Pull, beatMs: number): void {
    if (pull.done || !this.#wire.hears(pull.reply)) return;
    const at = pull.saidAt + beatMs;
    if (at > this.#world.now) return this.#world.at(at, () => this.#beat(pull, beatMs));
    pull.saidAt = this.#world.now;
    this.#wire.emit(pull.reply, statusMessage(pull.reply, 100));
    this.#world.after(beatMs, () => this.#beat(pull, beatMs));
  }

  #expire(pull: Pull): void {
    if (pull.done) return;
    pull.done = true;
    const at = this.#pulls.indexOf(pull);
    if (at >= 0) this.#pulls.splice(at, 1);
    const left = { "Nats-Pending-Messages": String(pull.left), "Nats-Pending-Bytes": "0" };
    if (this.#wire.hears(pull.reply))
      this.#wire.emit(pull.reply, statusMessage(pull.reply, 408, left));
  }

  /** The next one who asked and is still there; whoever wants more goes to the end of the line. */
  #nextPull(): Pull | undefined {
    for (;;) {
      const pull = this.#pulls.shift();
      if (pull === undefined) return undefined;
      if (!this.#wire.hears(pull.reply)) {
        pull.done = true;
        continue;
      }
      if (--pull.left > 0) this.#pulls.push(pull);
      else pull.done = true;
      return pull;
    }
  }

  #pump(): void {
    while (this.#pulls.length > 0 && this.waiting > 0) {
      if (this.#pending.size >= this.config.pendingMax && this.#again.length === 0) return;
      const seq = this.#again.shift() ?? this.#takeFresh();
      const stored = this.#stream.get(seq);
      if (stored === undefined) {
        this.#deliveries.delete(seq);
        continue;
      }
      const pull = this.#nextPull();
      if (pull === undefined) {
        this.#again.unshift(seq);
        return;
      }
      this.#hand(pull, stored);
    }
  }

  #takeFresh(): number {
    const seq = this.#fresh[this.#first++] as number;
    if (this.#first > 1_024 && this.#first * 2 > this.#fresh.length) {
      this.#fresh = this.#fresh.slice(this.#first);
      this.#first = 0;
    }
    return seq;
  }

  #hand(pull: Pull, stored: Stored): void {
    const { seq } = stored;
    pull.saidAt = this.#world.now;
    const before = this.#deliveries.get(seq) ?? 0;
    const deliveries = before + 1;
    this.#deliveries.set(seq, deliveries);
    this.#newest = Math.max(this.#newest, seq);
    this.#changed(() => {
      this.#pending.delete(seq);
      this.#deliveries.set(seq, before);
      this.#again.unshift(seq);
    });
    this.#pending.set(seq, { deadline: 0, deliveries });
    this.#postpone(seq, this.config.ackWaitMs);
    const place = `${this.#stream.config.name}.${this.config.name}.${deliveries}.${seq}`;
    const ack = `$JS.ACK.${place}.${++this.#handed}.${this.#nanos(stored.at)}.${this.waiting}`;
    this.#wire.emit(
      pull.reply,
      new VirtualMessage(stored.subject, stored.data, ack, stored.headers),
    );
  }

  /** Its deadline is looked at when it comes, and then again when it was moved meanwhile. */
  #postpone(seq: number, ms: number): void {
    const pending = this.#pending.get(seq);
    if (pending === undefined) return;
    const armed = pending.deadline > this.#world.now;
    const sooner = this.#world.now + ms < pending.deadline;
    pending.deadline = this.#world.now + ms;
    if (!armed || sooner) this.#watch(seq, pending);
  }

  #watch(seq: number, pending: Pending): void {
    this.#world.at(pending.deadline, () => {
      if (this.#pending.get(seq) !== pending) return;
      if (pending.deadline > this.#world.now) return this.#watch(seq, pending);
      this.#pending.delete(seq);
      this.#again.push(seq);
      this.#pump();
    });
  }

  #changed(undo: () => void): void {
    if (this.#world.now < this.#writtenAt + WRITE_MS) return void this.#unwritten.push(undo);
    this.#unwritten = [];
    this.#writtenAt = this.#world.now;
    this.#newestWritten = this.#newest;
  }

  /** The server was killed: what it had not written down yet has not happened. */
  killed(): void {
    this.#newest = this.written;
    if (this.#world.now < this.#writtenAt + WRITE_MS) {
      for (const undo of this.#unwritten.reverse()) undo();
    }
    this.#unwritten = [];
  }

  /** An answer to a delivery: `+ACK` or nothing, `+WPI`, `-NAK {"delay": ns}`. */
  answer(seq: number, data: Uint8Array): void {
    if (!this.#pending.has(seq) && !this.#recalled(seq)) return;
    if (data.length === 4 && data[1] === WORKING) return this.#postpone(seq, this.config.ackWaitMs);
    const text = Buffer.from(data).toString("latin1");
    if (text.startsWith("-NAK")) return this.#postpone(seq, delayOf(text));
    if (text !== "" && text !== "+ACK" && text !== "+TERM") return;
    const deliveries = this.#deliveries.get(seq) ?? 1;
    this.#pending.delete(seq);
    this.#deliveries.delete(seq);
    this.#changed(() => {
      this.#deliveries.set(seq, deliveries);
      this.#pending.set(seq, { deadline: 0, deliveries });
      this.#postpone(seq, this.config.ackWaitMs);
    });
    this.#pump();
  }

  /** A late answer counts as long as nobody was handed the message again. */
  #recalled(seq: number): boolean {
    const at = this.#again.indexOf(seq);
    if (at < 0) return false;
    this.#again.splice(at, 1);
    this.#pending.set(seq, { deadline: 0, deliveries: this.#deliveries.get(seq) ?? 1 });
    return true;
  }
}

function delayOf(text: string): number {
  const json = text.slice(4).trim();
  if (json === "") return 0;
  const { delay = 0 } = JSON.parse(json) as { delay?: number };
  return delay / 1e6;
}
