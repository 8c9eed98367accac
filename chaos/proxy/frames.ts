// Frames of the NATS client protocol, read from a byte stream cut anywhere. Linear in the bytes;
// holds one unfinished frame at most, and gives up reading (never passing on) above its bounds.
// https://docs.nats.io/reference/reference-protocols/nats-protocol

/** Longest line, bytes: INFO and CONNECT with JWTs are the long ones. */
export const LINE_BYTES_MAX = 1024 * 1024;
/** Largest payload with its headers, bytes: the server's own hard limit. */
export const PAYLOAD_BYTES_MAX = 64 * 1024 * 1024;

export interface Frame {
  /** Upper case: `PUB`, `HPUB`, `MSG`, `HMSG`, or a control verb: `INFO`, `PING`, … */
  verb: string;
  /** Of a message; undefined for all other frames. */
  subject: string | undefined;
  /** The whole frame with its line ends, as it came. */
  bytes: Uint8Array;
}

const MESSAGE_VERBS: ReadonlySet<string> = new Set(["PUB", "HPUB", "MSG", "HMSG"]);
const LF = 10;

export class FrameReader {
  readonly #emit: (frame: Frame) => void;
  #blocks: Uint8Array[] = [];
  #parts: Uint8Array[] = [];
  #held = 0;
  /** Bytes still missing of a message's payload and its line end; 0 while in a line. */
  #missing = 0;
  #verb = "";
  #subject: string | undefined;
  #raw = false;

  constructor(emit: (frame: Frame) => void) {
    this.#emit = emit;
  }

  /** Something came that is no such protocol: from there on bytes pass as frames `RAW`. */
  get raw(): boolean {
    return this.#raw;
  }

  /** Bytes of an unfinished frame. */
  get held(): number {
    return this.#held;
  }

  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length && !this.#raw) {
      at = this.#missing > 0 ? this.#payload(chunk, at) : this.#line(chunk, at);
    }
    if (at < chunk.length) this.#give("RAW", undefined, chunk.subarray(at));
  }

  /** The unfinished frame, for whoever passes on the end of a stream as it was. */
  rest(): Uint8Array {
    return this.#taken(EMPTY);
  }

  #payload(chunk: Uint8Array, at: number): number {
    const end = Math.min(chunk.length, at + this.#missing);
    this.#missing -= end - at;
    const piece = chunk.subarray(at, end);
    if (this.#missing > 0) this.#hold(piece);
    else this.#give(this.#verb, this.#subject, this.#taken(piece));
    return end;
  }

  #line(chunk: Uint8Array, at: number): number {
    const lf = chunk.indexOf(LF, at);
    const end = lf < 0 ? chunk.length : lf + 1;
    const piece = chunk.subarray(at, end);
    if (this.#held + piece.length > LINE_BYTES_MAX) return this.#giveUp(piece, end);
    if (lf < 0) {
      this.#hold(piece);
      return end;
    }
    const line = this.#taken(piece);
    const tokens = latin1(line)
      .trim()
      .split(/[ \t]+/);
    const verb = (tokens[0] as string).toUpperCase();
    if (!MESSAGE_VERBS.has(verb)) {
      this.#give(verb, undefined, line);
      return end;
    }
    const size = payloadSize(verb, tokens);
    if (size === undefined) return this.#giveUp(line, end);
    this.#verb = verb;
    this.#subject = tokens[1];
    this.#hold(line);
    this.#missing = size + 2;
    return end;
  }

  #giveUp(piece: Uint8Array, end: number): number {
    this.#raw = true;
    this.#give("RAW", undefined, this.#taken(piece));
    return end;
  }

  #hold(piece: Uint8Array): void {
    this.#parts.push(piece);
    this.#held += piece.length;
    // Bytes that come one by one would cost an object each.
    if (this.#parts.length < PARTS_MAX) return;
    this.#blocks.push(Buffer.concat(this.#parts));
    this.#parts = [];
  }

  #taken(last: Uint8Array): Uint8Array {
    if (this.#held === 0) return last;
    const whole = Buffer.concat([...this.#blocks, ...this.#parts, last]);
    this.#blocks = [];
    this.#parts = [];
    this.#held = 0;
    return whole;
  }

  #give(verb: string, subject: string | undefined, bytes: Uint8Array): void {
    this.#emit({ verb, subject, bytes });
  }
}

const EMPTY = new Uint8Array(0);
const PARTS_MAX = 4_096;

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

/** `PUB s [r] n`, `HPUB s [r] h n`, `MSG s sid [r] n`, `HMSG s sid [r] h n`; n counts headers. */
function payloadSize(verb: string, tokens: string[]): number | undefined {
  const least = { PUB: 3, HPUB: 4, MSG: 4, HMSG: 5 }[verb] as number;
  if (tokens.length < least || tokens.length > least + 1) return undefined;
  const text = tokens.at(-1) as string;
  if (!/^\d{1,9}$/.test(text)) return undefined;
  const size = Number(text);
  return size <= PAYLOAD_BYTES_MAX ? size : undefined;
}

/** Does a subject fit a pattern with `*` and `>`? */
export function matches(pattern: string, subject: string): boolean {
  const p = pattern.split(".");
  const s = subject.split(".");
  for (let i = 0; i < p.length; i++) {
    if (p[i] === ">") return s.length > i;
    if (i >= s.length || (p[i] !== "*" && p[i] !== s[i])) return false;
  }
  return p.length === s.length;
}

/** INFO without the addresses of other servers, which would lead clients past the proxy. */
export function withoutOtherServers(info: Uint8Array): Uint8Array {
  const text = Buffer.from(info).toString("utf8");
  try {
    const fields = JSON.parse(text.slice(text.indexOf("{"))) as Record<string, unknown>;
    if (fields.connect_urls === undefined && fields.ws_connect_urls === undefined) return info;
    delete fields.connect_urls;
    delete fields.ws_connect_urls;
    return Buffer.from(`INFO ${JSON.stringify(fields)}\r\n`);
  } catch {
    return info;
  }
}
