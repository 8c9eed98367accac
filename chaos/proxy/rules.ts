// What a proxy does to the links through it.

/** `up`: from clients to the server; `down`: from the server to clients. */
export type Direction = "up" | "down";

/** Bears on messages (PUB, HPUB, MSG, HMSG) only; shares are 0 to 1, drawn per message. */
export interface MessageRule {
  /** Both when absent. */
  direction?: Direction;
  /** Only messages on subjects that fit this pattern. */
  subject?: string;
  drop?: number;
  /** Passed twice; each copy is held back or swapped by a draw of its own. */
  duplicate?: number;
  /** Passed behind the next message of its direction. */
  swap?: number;
  hold?: { share: number; minMs: number; maxMs: number };
}

/** Bears on every byte; the order stays. */
export interface LineRule {
  direction?: Direction;
  delayMs?: number;
  /** Added to the delay: 0 to this, drawn. */
  jitterMs?: number;
  bytesPerS?: number;
  /** Writes of 1 to so many bytes each, drawn. */
  sliceBytesMax?: number;
}

export interface Rules {
  /**
   * Nothing passes in these directions and nobody is told: bytes stay where they are, as with TCP
   * on a dead link, and go on after `heal()`. New connections wait for it too.
   */
  cut?: Direction | "both";
  /**
   * With `cut`: the connections open now never pass a byte again, healed or not, as when a router
   * on the way forgot them. Both ends have to find out for themselves. Attempts to connect while it
   * lasts only wait: their first packet is repeated by TCP.
   */
  forget?: boolean;
  /** Nobody listens: new connections are refused. */
  refuse?: boolean;
  /** Connections open now are reset. */
  reset?: boolean;
  messages?: readonly MessageRule[];
  line?: readonly LineRule[];
}

export interface LaneCounts {
  messages: number;
  bytes: number;
  dropped: number;
  duplicated: number;
  held: number;
  swapped: number;
}

export interface Counts {
  connections: number;
  open: number;
  reset: number;
  forgotten: number;
  /** Streams that were no NATS protocol (TLS among them): passed on unread. */
  unread: number;
  up: LaneCounts;
  down: LaneCounts;
}

export function newLaneCounts(): LaneCounts {
  return { messages: 0, bytes: 0, dropped: 0, duplicated: 0, held: 0, swapped: 0 };
}

export function cuts(rules: Rules, direction: Direction): boolean {
  return rules.cut === "both" || rules.cut === direction;
}
