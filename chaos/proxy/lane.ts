// One direction of one connection: frames are read, messages suffer by the rules, bytes leave in
// the order that is left. Control frames keep their order and are never lost or doubled.
import type { Socket } from "node:net";
import type { Prng } from "../../mesh/core/prng.ts";
import { type Frame, FrameReader, matches, withoutOtherServers } from "./frames.ts";
import { cuts, type Direction, type LaneCounts, type MessageRule, type Rules } from "./rules.ts";

/** Above this much in hand the sender is not read any more, below half of it again; bytes. */
const HELD_BYTES_MAX = 16 * 1024 * 1024;
/** A message that waits to be swapped goes on alone after this, ms. */
const SWAP_WAIT_MS = 50;

/** Waits below this end with the turn of the event loop, ms. */
const TURN_MS = 0.02;

interface Piece {
  bytes: Uint8Array;
  at: number;
}

export class Lane {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #direction: Direction;
  readonly #draw: Prng;
  readonly #counts: LaneCounts;
  readonly #reader: FrameReader;
  #rules: Rules;
  #queue: Piece[] = [];
  #head = 0;
  #queuedBytes = 0;
  /** Messages held back, and the one that waits to be swapped. */
  #held = new Map<object, { bytes: Uint8Array; timer: NodeJS.Timeout }>();
  #heldBytes = 0;
  #swap: Uint8Array | undefined;
  #swapTimer: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;
  #freeAt = 0;
  #full = false;
  #dead = false;
  #ended = false;

  constructor(o: {
    from: Socket;
    to: Socket;
    direction: Direction;
    draw: Prng;
    counts: LaneCounts;
    rules: Rules;
    onUnread: () => void;
  }) {
    this.#from = o.from;
    this.#to = o.to;
    this.#direction = o.direction;
    this.#draw = o.draw;
    this.#counts = o.counts;
    this.#rules = o.rules;
    let raw = false;
    this.#reader = new FrameReader((frame) => {
      if (frame.verb === "RAW" && !raw) {
        raw = true;
        o.onUnread();
      }
      this.#onFrame(frame);
    });
    o.from.on("data", (chunk) => this.#onData(chunk as Buffer));
    o.from.on("end", () => this.#onEnd());
    o.to.on("drain", () => {
      this.#full = false;
      this.#pump();
    });
    this.#flow();
  }

  setRules(rules: Rules): void {
    this.#rules = rules;
    this.#flow();
    this.#pump();
  }

  /** Bytes are swallowed from now on; nobody is told. */
  forget(): void {
    this.#dead = true;
    this.#drop();
    this.#flow();
  }

  close(): void {
    this.#dead = true;
    this.#drop();
  }

  #drop(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#swapTimer);
    for (const { timer } of this.#held.values()) clearTimeout(timer);
    this.#held.clear();
    this.#queue = [];
    this.#head = 0;
    this.#queuedBytes = 0;
    this.#heldBytes = 0;
  }

  get #cut(): boolean {
    return cuts(this.#rules, this.#direction);
  }

  #flow(): void {
    if (this.#dead) return void this.#from.resume();
    const much = this.#queuedBytes + this.#heldBytes;
    const full = much > (this.#from.isPaused() ? HELD_BYTES_MAX / 2 : HELD_BYTES_MAX);
    if (this.#cut || full) this.#from.pause();
    else this.#from.resume();
  }

  #onData(chunk: Buffer): void {
    if (this.#dead) return;
    this.#to.cork();
    this.#reader.push(chunk);
    this.#pump();
    this.#to.uncork();
    this.#flow();
  }

  /** What is held back goes on at once, then the end itself. */
  #onEnd(): void {
    if (this.#dead) return;
    this.#releaseSwap();
    for (const [token, { bytes, timer }] of this.#held) {
      clearTimeout(timer);
      this.#held.delete(token);
      this.#enqueue(bytes);
    }
    this.#heldBytes = 0;
    this.#enqueue(this.#reader.rest());
    this.#ended = true;
    this.#pump();
  }

  #onFrame(frame: Frame): void {
    if (frame.subject === undefined) {
      const { verb, bytes } = frame;
      return this.#enqueue(verb === "INFO" ? withoutOtherServers(bytes) : bytes);
    }
    this.#counts.messages++;
    const rule = this.#ruleFor(frame.subject);
    if (rule === undefined) return this.#pass(frame.bytes);
    if (this.#drawn(rule.drop)) {
      this.#counts.dropped++;
      return;
    }
    const copies = this.#drawn(rule.duplicate) ? 2 : 1;
    this.#counts.duplicated += copies - 1;
    for (let i = 0; i < copies; i++) this.#suffer(frame.bytes, rule);
  }

  #ruleFor(subject: string): MessageRule | undefined {
    return this.#rules.messages?.find(
      (r) =>
        (r.direction === undefined || r.direction === this.#direction) &&
        (r.subject === undefined || matches(r.subject, subject)),
    );
  }

  #drawn(share: number | undefined): boolean {
    return share !== undefined && share > 0 && this.#draw.next() < share;
  }

  #suffer(bytes: Uint8Array, rule: MessageRule): void {
    const { hold } = rule;
    if (hold !== undefined && this.#drawn(hold.share)) {
      this.#counts.held++;
      return this.#hold(bytes, hold.minMs + (hold.maxMs - hold.minMs) * this.#draw.next());
    }
    if (this.#swap === undefined && this.#drawn(rule.swap)) {
      this.#counts.swapped++;
      this.#swap = bytes;
      this.#swapTimer = setTimeout(() => {
        this.#releaseSwap();
        this.#pump();
      }, SWAP_WAIT_MS);
      return;
    }
    this.#pass(bytes);
  }

  #hold(bytes: Uint8Array, ms: number): void {
    const token = {};
    this.#heldBytes += bytes.length;
    const timer = setTimeout(() => {
      this.#held.delete(token);
      this.#heldBytes -= bytes.length;
      this.#pass(bytes);
      this.#pump();
      this.#flow();
    }, ms);
    this.#held.set(token, { bytes, timer });
  }

  #pass(bytes: Uint8Array): void {
    this.#enqueue(bytes);
    this.#releaseSwap();
  }

  #releaseSwap(): void {
    clearTimeout(this.#swapTimer);
    const bytes = this.#swap;
    this.#swap = undefined;
    if (bytes !== undefined) this.#enqueue(bytes);
  }

  #enqueue(bytes: Uint8Array): void {
    if (bytes.length === 0 || this.#dead) return;
    const line = this.#line();
    const last = this.#queue.at(-1)?.at ?? 0;
    const { delayMs = 0, jitterMs = 0 } = line ?? {};
    const wait = delayMs + (jitterMs > 0 ? jitterMs * this.#draw.next() : 0);
    this.#queue.push({ bytes, at: wait > 0 ? Math.max(last, performance.now() + wait) : last });
    this.#queuedBytes += bytes.length;
  }

  #line() {
    return this.#rules.line?.find(
      (r) => r.direction === undefined || r.direction === this.#direction,
    );
  }

  /** Writes what is due, until the sink is full, the pace is reached or the link is cut. */
  #pump(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#head < this.#queue.length && !this.#full && !this.#cut && !this.#dead) {
      const piece = this.#queue[this.#head] as Piece;
      const wait = Math.max(piece.at, this.#freeAt) - performance.now();
      if (wait > 0 && wait < TURN_MS) {
        setImmediate(() => this.#pump());
        return;
      }
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#pump(), wait);
        return;
      }
      if (this.#write(piece)) this.#head++;
      if (this.#head > 1_000 && this.#head * 2 > this.#queue.length) {
        this.#queue = this.#queue.slice(this.#head);
        this.#head = 0;
      }
    }
    if (this.#head === this.#queue.length) {
      this.#queue.length = 0;
      this.#head = 0;
      if (this.#ended && !this.#dead && !this.#cut) this.#to.end();
    }
    this.#flow();
  }

  /** True when the whole piece was written. */
  #write(piece: Piece): boolean {
    const line = this.#line();
    let { bytes } = piece;
    if (line?.sliceBytesMax !== undefined) {
      bytes = bytes.subarray(0, 1 + this.#draw.int(line.sliceBytesMax));
    }
    // A tenth of a second's worth at a time, so that a large message does not leave at once.
    if (line?.bytesPerS !== undefined) {
      bytes = bytes.subarray(0, Math.max(1, Math.ceil(line.bytesPerS / 10)));
      this.#freeAt = performance.now() + (bytes.length / line.bytesPerS) * 1_000;
    } else {
      // The next slice waits for a turn of its own, so that it travels alone.
      this.#freeAt = line?.sliceBytesMax === undefined ? 0 : performance.now() + TURN_MS / 2;
    }
    this.#full = !this.#to.write(bytes);
    this.#counts.bytes += bytes.length;
    this.#queuedBytes -= bytes.length;
    piece.bytes = piece.bytes.subarray(bytes.length);
    return piece.bytes.length === 0;
  }
}
