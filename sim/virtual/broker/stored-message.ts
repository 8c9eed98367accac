// A message out of a stream, as the server hands it on: what its author wrote, and its place. The
// place is written out only when somebody asks for it.
import { EPOCH_MS } from "../clock.ts";
import { VirtualMessage } from "./message.ts";
import type { Stored } from "./stream.ts";

export class StoredMessage extends VirtualMessage {
  readonly #stream: string;
  readonly #stored: Stored;
  readonly #before: number | undefined;
  readonly #left: number | undefined;

  /**
   * @param before of a notice: what it replaced; of a page: the message before it
   * @param left messages of a page that follow
   */
  constructor(subject: string, stream: string, stored: Stored, before?: number, left?: number) {
    super(subject, stored.data, undefined, stored.headers);
    this.#stream = stream;
    this.#stored = stored;
    this.#before = before;
    this.#left = left;
  }

  override get hasHeaders(): boolean {
    return true;
  }

  override header(name: string): string | undefined {
    switch (name) {
      case "Nats-Stream":
        return this.#stream;
      case "Nats-Subject":
        return this.#stored.subject;
      case "Nats-Sequence":
        return String(this.#stored.seq);
      case "Nats-Time-Stamp":
        return new Date(EPOCH_MS + this.#stored.at).toISOString();
      case "Nats-Last-Sequence":
        return this.#before === undefined ? super.header(name) : String(this.#before);
      case "Nats-Num-Pending":
        return this.#left === undefined ? super.header(name) : String(this.#left);
      default:
        return super.header(name);
    }
  }
}
