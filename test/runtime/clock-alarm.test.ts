// Whose clock is wrong: what notices of the server, refusals and claims tell (F16).
import { describe, expect, test } from "vitest";
import type { Incoming } from "../../mesh/ports/index.ts";
import { ClockAlarm } from "../../mesh/runtime/clock-alarm.ts";
import { Counters } from "../../mesh/runtime/counters.ts";

const HOUR_MS = 3_600_000;
const SERVER_MS = Date.UTC(2026, 0, 1);

class Desk {
  now = 0;
  offMs: number;
  readonly said: string[] = [];
  readonly alarm: ClockAlarm;

  constructor(offMs: number) {
    this.offMs = offMs;
    const say = (_: unknown, text: string) => void this.said.push(text);
    const log = { debug: say, info: say, warn: () => undefined, error: say, child: () => log };
    const clock = {
      now: () => this.now,
      wall: () => SERVER_MS + this.now + this.offMs,
      after: () => ({ cancel: () => undefined }),
    };
    this.alarm = new ClockAlarm({ clock, log, counters: new Counters() });
  }

  /** Notices of what was stored `lateMs` ago, one a second. */
  hear(notices: number, lateMs = 0): void {
    for (let n = 0; n < notices; n++) {
      this.now += 1_001;
      const stamp = new Date(SERVER_MS + this.now - lateMs).toISOString();
      const header = (name: string) => (name === "Nats-Time-Stamp" ? stamp : undefined);
      this.alarm.heard({ header } as unknown as Incoming);
    }
  }

  /** How far it reads the deadline of a task off whose submitter has the right date, ms. */
  get ahead(): number {
    return Math.round(this.alarm.aheadOf(SERVER_MS, SERVER_MS) / 1_000) * 1_000;
  }

  refusals(...agents: string[]): boolean[] {
    return agents.map((agent) => this.alarm.refusedBy(agent));
  }
}

describe("a deadline", () => {
  test("is read by the submitter's clock, whoever is wrong", () => {
    for (const offMs of [HOUR_MS, -HOUR_MS]) {
      const desk = new Desk(offMs);
      desk.hear(1);
      expect(desk.ahead).toBe(offMs);
      expect(desk.alarm.aheadOf(SERVER_MS + offMs, SERVER_MS)).toBe(0);
    }
    const right = new Desk(0);
    right.hear(1);
    expect(right.alarm.aheadOf(SERVER_MS - HOUR_MS, SERVER_MS)).toBeCloseTo(HOUR_MS, -1);
  });

  test("is right at once when the clock is set", () => {
    const desk = new Desk(-HOUR_MS);
    desk.hear(3);
    desk.offMs = 0;
    expect(desk.ahead).toBe(0);
  });

  test("is not moved by a notice that lay in a queue", () => {
    const desk = new Desk(0);
    desk.hear(1);
    desk.hear(2, 60_000);
    expect(desk.ahead).toBe(0);
  });
});

describe("a peer hands out nothing", () => {
  test("when its clock is wrong and two agents refuse its awards for that", () => {
    const desk = new Desk(HOUR_MS);
    desk.hear(3);
    expect(desk.refusals("a.w", "a.w", "b.w", "b.w")).toEqual([false, false, true, false]);
    expect(desk.alarm.off).toBe(true);
    expect(desk.said).toEqual([expect.stringMatching(/^this clock is wrong by the server's/)]);
    desk.offMs = 0;
    desk.hear(1);
    expect(desk.alarm.off).toBe(false);
  });

  test("not when its clock agrees with the server's, whoever refuses", () => {
    const desk = new Desk(0);
    desk.hear(3);
    expect(desk.refusals("a.w", "b.w", "c.w")).toEqual([false, false, false]);
  });

  test("not while others claim what it awards: all but those two have its date", () => {
    const desk = new Desk(HOUR_MS);
    desk.hear(3);
    desk.alarm.claimed();
    expect(desk.refusals("a.w", "b.w")).toEqual([false, false]);
    desk.now += 10_001;
    expect(desk.refusals("a.w", "b.w")).toEqual([true, false]);
  });
});
