// How soon a client finds that its link is dead: the rules of mesh/nats/link-watch.ts, played only
// while the link is not well, since a healthy one always answers.
import type { Clock, Timer } from "../../mesh/ports/index.ts";
import type { LinkPair } from "./network.ts";

/** As in link-watch.ts. */
const PING_MS = 500;
const SILENT_TURNS = 2;
const LATE_TURNS = 10;

export class LinkCheck {
  readonly #link: LinkPair;
  readonly #clock: Clock;
  readonly #onDead: () => void;
  readonly #beganAt: number;
  #timer: Timer | undefined;
  #asked = false;
  #heard = false;
  #silent = 0;
  #late = 0;

  constructor(link: LinkPair, clock: Clock, onDead: () => void) {
    this.#link = link;
    this.#clock = clock;
    this.#onDead = onDead;
    this.#beganAt = clock.now();
  }

  /** A message came. */
  heard(): void {
    this.#heard = true;
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.#asked = false;
    this.#silent = 0;
    this.#late = 0;
    const since = (this.#clock.now() - this.#beganAt) % PING_MS;
    this.#timer = this.#clock.after(PING_MS - since, () => this.#turn());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #turn(): void {
    this.#timer = undefined;
    const heard = this.#heard;
    this.#heard = false;
    // Well again: the ping that is under way is answered by the next turn.
    if (this.#link.isOpen) return;
    if (this.#asked) {
      this.#late++;
      this.#silent = heard ? 0 : this.#silent + 1;
      if (this.#silent >= SILENT_TURNS || this.#late >= LATE_TURNS) return this.#onDead();
    }
    this.#asked = true;
    this.#timer = this.#clock.after(PING_MS, () => this.#turn());
  }
}
