// Messages as the broker passes them on. One object serves all who hear it.
import type { Incoming } from "../../../mesh/ports/index.ts";

export type Headers = Readonly<Record<string, string>>;

const NOTHING = new Uint8Array(0);

export class VirtualMessage implements Incoming {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly reply: string | undefined;
  readonly status: number;
  /** What its sender wrote, and what the server put behind it: of a name in both, the server's. */
  readonly headers: Headers | undefined;
  readonly added: Headers | undefined;
  #reader: object | undefined;
  #reading: unknown;

  constructor(
    subject: string,
    data: Uint8Array,
    reply?: string,
    headers?: Headers,
    added?: Headers,
    status = 0,
  ) {
    this.subject = subject;
    this.data = data;
    this.reply = reply;
    this.headers = headers;
    this.added = added;
    this.status = status;
  }

  shared<T>(reader: object, read: () => T | undefined): T | undefined {
    if (this.#reader === reader) return this.#reading as T;
    const reading = read();
    // A refusal is made, and counted, by each on his own.
    if (reading !== undefined) {
      this.#reader = reader;
      this.#reading = reading;
    }
    return reading;
  }

  get hasHeaders(): boolean {
    return this.headers !== undefined || this.added !== undefined || this.status !== 0;
  }

  header(name: string): string | undefined {
    const value = own(this.added, name) ?? own(this.headers, name)?.trim();
    return value === "" ? undefined : value;
  }
}

function own(headers: Headers | undefined, name: string): string | undefined {
  return headers !== undefined && Object.hasOwn(headers, name) ? headers[name] : undefined;
}

/** A message that is nothing but a status: 404, 408, 503. */
export function statusMessage(subject: string, status: number, added?: Headers): VirtualMessage {
  return new VirtualMessage(subject, NOTHING, undefined, undefined, added, status);
}
