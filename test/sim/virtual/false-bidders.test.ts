// Attack A15: an agent that bids better than all others, for many slots, and then fails whatever it
// gets, or never claims it. Fault F16: an agent or an initiator that means well and has the wrong
// date.
import { describe, expect, test } from "vitest";
import { type Outcome, ParleyError } from "../../../contracts/index.ts";
import type { HistoryEvent, Log } from "../../../mesh/ports/index.ts";
import type { Peer } from "../../../mesh/runtime/peer.ts";
import { Broker } from "../../../sim/virtual/broker/broker.ts";
import { type HostOptions, SILENT, VirtualHost } from "../../../sim/virtual/hosts.ts";
import { World } from "../../../sim/virtual/world.ts";

const HONEST = 8;
const WORK_MS = 100;
const TASKS = 400;
const FALSE = "mal";

const FALSE_SLOTS = 32;
const HOUR_MS = 3_600_000;

/** It fails at once; the same, and says that no retry would help; does not listen to awards; or
 * means well, and has the wrong date. */
type Deceit = "fails" | "refuses" | "ignores" | "misdates";

interface Ill {
  deceit?: Deceit;
  /** How far the clock of one initiator is off, ms. */
  offMs?: number;
}

/** Two initiators, eight honest agents of one slot each, and perhaps one that is not. */
class Market {
  readonly world = new World({ seed: "market" });
  readonly broker = new Broker(this.world);
  readonly hosts: VirtualHost[] = [];
  readonly awards: string[] = [];
  readonly warnings: string[] = [];
  readonly errors: string[] = [];
  readonly #deceit: Deceit | undefined;

  constructor({ deceit, offMs = 0 }: Ill = {}) {
    this.#deceit = deceit;
    this.#host({ name: "ina", role: "initiator" });
    this.#host({ name: "ivo", role: "initiator", clock: { offsetMs: offMs } });
    this.#host({ name: "sue", role: "submitter" });
    for (let i = 0; i < HONEST; i++) {
      this.#agent(`con${i}`, WORK_MS, async (host, signal) => {
        if (!(await host.sleep(WORK_MS, signal))) throw signal.reason;
      });
    }
    if (deceit === undefined) return;
    // The time that it claims is a fifth of everybody's.
    this.#agent(
      FALSE,
      WORK_MS / 5,
      async () => {
        if (deceit === "refuses") throw new ParleyError("E_TERMINAL", "no key");
        throw new Error("no");
      },
      (peer) => {
        if (deceit === "ignores") peer.contractors.onAward = () => undefined;
      },
    );
  }

  #agent(
    name: string,
    durationMs: number,
    work: (host: VirtualHost, signal: AbortSignal) => Promise<void>,
    spoil: (peer: Peer) => void = () => undefined,
  ): void {
    const furnish = (peer: Peer, host: VirtualHost): void => {
      const run = async ({ signal }: { signal: AbortSignal }) => {
        await work(host, signal);
        return { output: null };
      };
      const capability = { name: "work", version: "1.0.0", durationMs };
      peer.host({
        name: "w",
        slots: name === FALSE ? FALSE_SLOTS : 1,
        services: [{ capability, run }],
      });
      spoil(peer);
    };
    const clock = this.#deceit === "misdates" && name === FALSE ? { offsetMs: -HOUR_MS } : {};
    this.#host({ name, role: "contractor", capabilities: ["work"], furnish, clock });
  }

  #host(options: HostOptions): void {
    const history = (_: string, e: HistoryEvent): void => {
      if (e.op === "award" && e.to !== undefined) this.awards.push(e.to);
    };
    const log: Log = {
      ...SILENT,
      warn: (_about, text) => void this.warnings.push(text),
      error: (_about, text) => void this.errors.push(text),
    };
    this.hosts.push(new VirtualHost(this.world, this.broker, { ...options, history, log }));
  }

  async until(condition: () => boolean): Promise<void> {
    const untilMs = this.world.now + 600_000;
    if ((await this.world.run({ until: condition, untilMs })) !== "met") throw new Error("not met");
  }

  async settle<T>(promise: Promise<T>): Promise<T> {
    let over = false;
    const end = (): void => {
      over = true;
    };
    promise.then(end, end);
    await this.until(() => over);
    return promise;
  }

  /** All tasks at once, or one every so many ms. */
  async run(everyMs: number): Promise<{ outcomes: Outcome[]; tookMs: number; share: number }> {
    for (const host of this.hosts) await this.settle(host.start());
    const agents = this.hosts.filter(({ options }) => options.role === "contractor").length;
    const knows = ({ peer }: VirtualHost) => peer?.registry.capabilities().get("work") === agents;
    await this.until(() => this.hosts.slice(0, 2).every(knows));
    const { submitters } = (this.hosts[2] as VirtualHost).peer as Peer;
    const beganAt = this.world.now;
    const outcomes: Outcome[] = [];
    for (let n = 0; n < TASKS; n++) {
      this.world.at(beganAt + n * everyMs, () => {
        void submitters
          .submit("work", {}, {})
          .then((task) => task.outcome())
          .then((outcome) => outcomes.push(outcome));
      });
    }
    await this.until(() => outcomes.length === TASKS);
    const later = this.awards.slice(20);
    const share = later.filter((to) => to === `${FALSE}.w`).length / later.length;
    return { outcomes, tookMs: this.world.now - beganAt, share };
  }
}

describe.each([
  ["all at once", 0],
  ["one after the other", WORK_MS / 4],
])("A15: of tasks that come %s", async (_, everyMs) => {
  const { tookMs: usual } = await new Market().run(everyMs);

  test.each(["fails", "ignores"] as const)("none fails by an agent that %s", async (deceit) => {
    const { outcomes, tookMs, share } = await new Market({ deceit }).run(everyMs);
    expect(outcomes.filter((o) => o.state !== "completed")).toEqual([]);
    // As many as it has slots for are awarded to it before the first of them tells.
    expect(share).toBeLessThan(0.15);
    expect(tookMs).toBeLessThan(usual * 1.25);
  });

  test("few fail by an agent that says that a retry would not help", async () => {
    const { outcomes, share } = await new Market({ deceit: "refuses" }).run(everyMs);
    const hopeless = outcomes.filter((o) => o.state !== "completed").length;
    // Each of two initiators gives it work for all its slots before the first of it tells.
    expect(hopeless).toBeLessThan(2 * (FALSE_SLOTS + 10));
    expect(share).toBeLessThan(0.15);
  });
});

test("F16: an agent whose clock is an hour off refuses at once; both sides say why", async () => {
  const { tookMs: usual } = await new Market().run(0);
  const market = new Market({ deceit: "misdates" });
  const { outcomes, tookMs } = await market.run(0);
  expect(outcomes.filter((o) => o.state !== "completed")).toEqual([]);
  expect(tookMs).toBeLessThan(usual * 1.1);
  const advice = "its clock and this one are more than 30 s apart: set both by NTP (parley doctor)";
  expect(new Set(market.warnings)).toEqual(
    new Set([
      `an award was refused for its date: ${advice}`,
      `an agent refused an award for its date: ${advice}`,
    ]),
  );
  // Once a minute, and not with every award.
  expect(market.warnings.length).toBeLessThanOrEqual(3);
});

test.each([
  ["behind", -HOUR_MS],
  ["ahead", HOUR_MS],
])("F16: an initiator whose clock is an hour %s hands its tasks to another", async (_, offMs) => {
  const { tookMs: usual } = await new Market().run(WORK_MS / 4);
  const market = new Market({ offMs });
  const { outcomes, tookMs } = await market.run(WORK_MS / 4);
  expect(outcomes.filter((o) => o.state !== "completed")).toEqual([]);
  // Being ahead is believed at the third look: the first could have lain in a queue.
  expect(tookMs).toBeLessThan(usual + 15_000);
  expect(market.errors).toEqual([expect.stringMatching(/^this clock is wrong by the server's/)]);
});
