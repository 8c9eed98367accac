// Who waits for events, while the link goes and comes.
import { expect, test } from "vitest";
import { NatsEvents } from "../../mesh/nats/events.ts";
import type { Link } from "../../mesh/nats/link.ts";
import { LinkStatus } from "../../mesh/nats/link-status.ts";
import { systemClock } from "../../mesh/nats/system.ts";
import type { ConnectionState } from "../../mesh/ports/index.ts";

const nothing = () => Promise.reject(new Error("not part of this"));

/** A link on which nothing is ever said. */
class SilentLink extends LinkStatus implements Link {
  readonly payloadMax = 0;
  handlers = 0;
  readonly inbox = () => "_INBOX.ann.1";
  readonly publish = () => undefined;
  readonly subscribe = () => ({ unsubscribe: () => undefined });
  readonly request = nothing;
  readonly requestMany = nothing;
  readonly ask = nothing;
  readonly flush = nothing;
  readonly close = nothing;

  override onState(handler: (state: ConnectionState) => void): void {
    this.handlers++;
    super.onState(handler);
  }

  breaks(): void {
    this.become("down");
    this.become("up");
  }
}

test("they look again once it is back, and leave nothing behind when they go", () => {
  const link = new SilentLink();
  const events = new NatsEvents(link, systemClock, "ann");
  const looks: string[] = [];
  const stops = ["a.*", "b.*"].map((topic) => events.watch(topic, () => looks.push(topic)));
  link.breaks();
  expect(looks).toEqual(["a.*", "b.*"]);
  stops[0]?.();
  link.breaks();
  expect(looks).toEqual(["a.*", "b.*", "b.*"]);
  expect(link.handlers).toBe(1);
});
