// No agent stands idle for long while something waits that it could do: markets drawn from seeds,
// in which tasks ask for all sorts of things, some of them for what nobody has.
import { expect, test } from "vitest";
import { createPrng, type Prng, pick } from "../../../mesh/core/prng.ts";
import type { TaskOptions } from "../../../mesh/runtime/submitters.ts";
import { VirtualHost } from "../../../sim/virtual/hosts.ts";
import { VirtualPlace } from "../../support/virtual-place.ts";

/** A waiting task is called again within 2.5 s at the latest, whatever was lost or not heard. */
const PATIENCE_MS = 2_600;
const AGENTS = 6;
const TASKS = 150;
const STEP_MS = 100;

interface Job {
  name: string;
  since: number;
  /** Agents that could do it. */
  fit: string[];
  open: boolean;
}

interface Hand {
  name: string;
  slots: number;
  busy: number;
  freeSince: number;
  region: string;
  memory: number;
  cost: number;
}

class Fair extends VirtualPlace {
  readonly prng: Prng;
  readonly hands: Hand[];
  readonly jobs = new Map<string, Job>();
  readonly initiators: VirtualHost[];
  readonly contractors: VirtualHost[];

  constructor(seed: number) {
    super(`fair-${seed}`);
    this.prng = createPrng(seed);
    this.hands = Array.from({ length: AGENTS }, (_, i) => ({
      name: `con${i}.w`,
      slots: 1 + this.prng.int(2),
      busy: 0,
      freeSince: 0,
      region: pick(this.prng, ["eu", "us"]),
      memory: pick(this.prng, [8, 16, 64]),
      cost: 1 + this.prng.int(8),
    }));
    this.initiators = Array.from({ length: 1 + this.prng.int(3) }, (_, i) => {
      return new VirtualHost(this.world, this.broker, { name: `ina${i}`, role: "agent" });
    });
    this.contractors = this.hands.map((hand, i) => this.#contractor(hand, `con${i}`));
  }

  #contractor(hand: Hand, name: string): VirtualHost {
    const { slots, region, memory, cost } = hand;
    const furnish = (peer: NonNullable<VirtualHost["peer"]>, host: VirtualHost): void => {
      const run = async ({ signal, input }: { signal: AbortSignal; input: unknown }) => {
        const { id, ms } = input as { id: string; ms: number };
        const job = this.jobs.get(id) as Job;
        job.open = false;
        hand.busy++;
        await host.sleep(ms, signal);
        hand.busy--;
        hand.freeSince = this.world.now;
        return { output: null };
      };
      const capability = { name: "work", version: "1.0.0", cost };
      const services = [{ capability, run }];
      peer.host({ name: "w", slots, attributes: { region, memory }, services });
    };
    const capabilities = ["work"];
    return new VirtualHost(this.world, this.broker, {
      name,
      role: "contractor",
      capabilities,
      furnish,
    });
  }

  async open(): Promise<this> {
    const hosts = [...this.initiators, ...this.contractors];
    for (const host of hosts) await this.settle(host.start());
    const known = (host: VirtualHost) => host.peer?.registry.capabilities().get("work") === AGENTS;
    await this.until(() => this.initiators.every(known));
    return this;
  }

  #draw(): { options: TaskOptions; fits: (hand: Hand) => boolean } {
    const { prng } = this;
    const [options, fits]: [TaskOptions, ((hand: Hand) => boolean)[]] = [{}, []];
    const is = (share: number): boolean => prng.next() < share;
    const asked = pick(prng, ["", "", "region", "memory"]);
    if (asked === "region") {
      const region = pick(prng, ["eu", "us", "moon"]);
      options.requires = { region };
      fits.push((hand) => hand.region === region);
    }
    if (asked === "memory") {
      const min = pick(prng, [8, 16, 64, 128]);
      options.requires = { memory: { min } };
      fits.push((hand) => hand.memory >= min);
    }
    if (is(0.3)) {
      const budget = prng.int(80) / 10;
      options.budget = budget;
      fits.push((hand) => hand.cost <= budget);
    }
    if (is(0.2)) {
      const out = [pick(prng, this.hands).name, pick(prng, this.hands).name];
      options.exclude = out;
      fits.push((hand) => !out.includes(hand.name));
    }
    if (is(0.1)) {
      const to = is(0.3) ? "away.w" : pick(prng, this.hands).name;
      Object.assign(options, { to, only: true });
      fits.push((hand) => hand.name === to);
    }
    if (is(0.3)) options.priority = prng.int(10);
    return { options, fits: (hand) => fits.every((one) => one(hand)) };
  }

  submit(n: number): void {
    const { options, fits } = this.#draw();
    const id = `t${n}`;
    const ms = Math.round(50 + this.prng.next() ** 3 * 4_000);
    const fit = this.hands.filter(fits).map(({ name }) => name);
    this.jobs.set(id, { name: id, since: this.world.now, fit, open: true });
    const by = pick(this.prng, this.initiators);
    const more = { ...options, timeoutMs: 3_600_000, retry: { attempts: 1 } };
    void by.peer?.submitters.submit("work", { id, ms }, more);
  }

  /** Somebody idle, and what it could have begun all that time. */
  idle(): string | undefined {
    const before = this.world.now - PATIENCE_MS;
    for (const { name, slots, busy, freeSince } of this.hands) {
      if (busy > 0 || slots === 0 || freeSince > before) continue;
      for (const job of this.jobs.values()) {
        if (!job.open || job.since > before || !job.fit.includes(name)) continue;
        const [since, waits] = [freeSince.toFixed(0), job.since.toFixed(0)];
        return `${name}, idle since ${since}, could do ${job.name} of ${waits}`;
      }
    }
    return undefined;
  }
}

test.each(Array.from({ length: 12 }, (_, i) => i))("market %i", async (seed) => {
  const fair = await new Fair(seed).open();
  const everyMs = pick(fair.prng, [5, 50, 150, 400]);
  let made = 0;
  for (let i = 0; i < TASKS; i++) {
    fair.world.after(i * everyMs * 2 * fair.prng.next(), () => fair.submit(made++));
  }
  const done = (): boolean =>
    made === TASKS && [...fair.jobs.values()].every(({ open, fit }) => !open || fit.length === 0);
  for (let at = 0; at < 600_000 && !done(); at += STEP_MS) {
    await fair.world.run({ untilMs: fair.world.now + STEP_MS });
    expect(fair.idle()).toBeUndefined();
  }
  expect(done()).toBe(true);
});
