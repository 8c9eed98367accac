// The nemesis: draws faults from the world's seed, plays them, and takes them back.
import { type Prng, pick } from "../../mesh/core/prng.ts";
import type { HistoryEvent } from "../../mesh/ports/index.ts";
import { exponential } from "../draw.ts";
import type { Broker } from "./broker/broker.ts";
import type { VirtualHost } from "./hosts.ts";
import { LOCAL } from "./network.ts";
import type { Town } from "./town.ts";
import type { World } from "./world.ts";

export interface FaultPlan {
  /** How often each happens in the whole world, per minute of world time. */
  crash?: number;
  initiatorCrash?: number;
  pause?: number;
  cut?: number;
  oneWay?: number;
  brokerRestart?: number;
  /** A submitter dies, stands still, or is cut off both ways or one. */
  submitter?: number;
  /** Of all messages, 0 to 1. `replay`: said once more up to seconds later. */
  loss?: number;
  duplicate?: number;
  reorder?: number;
  replay?: number;
  /** Hosts' clocks run wrong by up to so many parts in a million. */
  driftPpm?: number;
  /** Of all tasks, 0 to 1: whose first attempt fails, all of whose attempts fail, that are
   * canceled, that rule somebody out, that have little time, that ask for something special, that
   * are done in parts. */
  fail?: number;
  poison?: number;
  cancel?: number;
  exclude?: number;
  hasty?: number;
  needs?: number;
  parts?: number;
  /** Two insiders, who react to this share of all records; everything is signed then. */
  insider?: number;
}

/** Named mixes. `mix` has the weights of the live chaos run (chaos/scenarios/mix.ts), and links. */
export const MIXES = {
  none: {},
  crash: { crash: 6 },
  pause: { pause: 6 },
  cut: { cut: 4, oneWay: 2 },
  broker: { brokerRestart: 2 },
  lossy: { loss: 0.01, duplicate: 0.01, reorder: 0.02 },
  mix: {
    crash: 4,
    initiatorCrash: 1.6,
    pause: 2,
    cut: 2,
    oneWay: 1,
    brokerRestart: 1,
    loss: 0.001,
    duplicate: 0.002,
    reorder: 0.005,
    driftPpm: 200,
  },
} as const satisfies Record<string, FaultPlan>;
export type FaultMix = keyof typeof MIXES;

/** Faults that happen so often a minute. */
export const DEEDS = [
  "crash",
  "initiatorCrash",
  "pause",
  "cut",
  "oneWay",
  "brokerRestart",
  "submitter",
] as const;
type Deed = (typeof DEEDS)[number];
/** What befalls a submitter. */
const BLOWS = ["crash", "pause", "cut", "oneWay"] as const;
type Blow = Exclude<Deed, "submitter">;

/** How long a fault lasts, ms: shortest, and the mean of what comes on top. Origin: guess. */
const LASTING: Record<Blow, [number, number]> = {
  crash: [200, 3_000],
  initiatorCrash: [200, 3_000],
  pause: [500, 3_500],
  cut: [300, 4_000],
  oneWay: [300, 4_000],
  brokerRestart: [100, 600],
};

/** As the live nemesis calls them, for the judge. */
const OPS: Record<Blow, string> = {
  crash: "kill",
  initiatorCrash: "kill",
  pause: "stop",
  cut: "cut",
  oneWay: "cut",
  brokerRestart: "server-kill",
};

const MINUTE_MS = 60_000;

export class Nemesis {
  /** Faults played, by name. */
  readonly counts: Partial<Record<Deed, number>> = {};
  readonly #world: World;
  readonly #broker: Broker;
  readonly #town: Town;
  readonly #plan: FaultPlan;
  readonly #prng: Prng;
  readonly #note: (event: HistoryEvent & { target?: string }) => void;
  /** Who suffers, and how it ends. */
  #under = new Map<VirtualHost | Broker, () => void>();
  #over = false;

  constructor(
    world: World,
    broker: Broker,
    town: Town,
    plan: FaultPlan,
    note: (event: HistoryEvent & { target?: string }) => void = () => undefined,
  ) {
    this.#world = world;
    this.#broker = broker;
    this.#town = town;
    this.#plan = plan;
    this.#prng = world.random.fork("nemesis");
    this.#note = note;
  }

  start(): void {
    const { loss = 0, duplicate = 0, reorder = 0, replay = 0, driftPpm = 0 } = this.#plan;
    for (const host of this.#town.all) {
      if (loss + duplicate + reorder + replay > 0) {
        host.link.quality = { ...LOCAL, loss, duplicate, reorder, replay };
      }
      if (driftPpm > 0) host.clock.drift(1 + ((this.#prng.next() * 2 - 1) * driftPpm) / 1e6);
    }
    for (const deed of DEEDS) this.#later(deed, this.#prng.fork(deed));
  }

  #later(deed: Deed, prng: Prng): void {
    const perMinute = this.#plan[deed] ?? 0;
    if (perMinute <= 0) return;
    this.#world.after((exponential(prng) * MINUTE_MS) / perMinute, () => {
      if (this.#over) return;
      this.play(deed, prng);
      this.#later(deed, prng);
    });
  }

  /** Plays one fault now, on somebody who suffers none yet. */
  play(deed: Deed, prng: Prng): void {
    const victim = this.#victim(deed, prng);
    if (victim === undefined || this.#under.has(victim)) return;
    const blow = deed === "submitter" ? pick(prng, BLOWS) : deed;
    const undo = this.#hit(blow, victim, prng);
    this.counts[deed] = (this.counts[deed] ?? 0) + 1;
    const about = { op: OPS[blow], target: nameOf(victim) };
    this.#note({ k: "inv", ...about });
    const end = (): void => {
      if (this.#under.get(victim) !== end) return;
      this.#under.delete(victim);
      undo();
      this.#note({ k: "ok", ...about });
    };
    this.#under.set(victim, end);
    const [least, more] = LASTING[blow];
    this.#world.after(least + exponential(prng) * more, end);
  }

  #victim(deed: Deed, prng: Prng): VirtualHost | Broker | undefined {
    if (deed === "brokerRestart") return this.#broker;
    const { initiators, submitters, composers } = this.#town;
    const contractors = [...this.#town.contractors, ...composers];
    const all = [...initiators, ...contractors];
    const suffer: Partial<Record<Deed, readonly VirtualHost[]>> = {
      crash: contractors,
      initiatorCrash: initiators,
      submitter: submitters,
    };
    const among = suffer[deed] ?? all;
    const alive = among.filter((host) => host.alive);
    return alive.length === 0 ? undefined : pick(prng, alive);
  }

  #hit(blow: Blow, victim: VirtualHost | Broker, prng: Prng): () => void {
    if (!("crash" in victim)) {
      victim.kill();
      return () => victim.start();
    }
    switch (blow) {
      case "pause":
        victim.pause();
        return () => victim.resume();
      case "cut":
      case "oneWay":
        victim.cut(blow === "cut" ? "both" : prng.next() < 0.5 ? "up" : "down");
        return () => victim.mend();
      default:
        victim.crash();
        return () => this.#revive(victim);
    }
  }

  /** A start needs a server; without one it is tried again, as a service manager would. */
  #revive(host: VirtualHost): void {
    if (host.alive) return;
    if (this.#broker.isUp) return this.#town.begin(host);
    this.#world.after(500, () => this.#revive(host));
  }

  /** No more faults, and all of now are over: links well, everybody there. */
  heal(): void {
    this.#over = true;
    for (const end of [...this.#under.values()]) end();
    for (const host of this.#town.all) host.link.quality = LOCAL;
  }
}

function nameOf(victim: VirtualHost | Broker): string {
  return "name" in victim ? victim.name : "broker";
}
