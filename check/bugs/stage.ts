// The stage of the arena: real peers on a real server, with a hand on what each of them sends.
// Composition root: knows mesh/nats.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Role } from "../../contracts/index.ts";
import {
  type OpenPeer,
  openPeer,
  type Run,
  type RunResult,
  type Service,
  type TaskOptions,
  type Tracker,
} from "../../mesh/index.ts";
import { credentialsOf } from "../../mesh/local.ts";
import { type Home, mintUser } from "../../mesh/nats/identity/home.ts";
import type { History, HistoryEvent, Log, PublishOptions, Signer } from "../../mesh/ports/index.ts";
import { type HistoryFile, openHistory } from "../history-file.ts";

export const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};

/** What becomes of a message on its way out. `unanswered`: it arrives, its ack does not. */
export type Fate = "pass" | "drop" | "twice" | "unanswered" | "hold";

/** A promise with its end outside. */
export function gate(): { promise: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { promise, open: () => resolve() };
}

/** One peer, and what its sending goes through. */
export class Player {
  readonly name: string;
  readonly open: OpenPeer;
  readonly signer: Signer;
  /** Decides on every message that this peer publishes; requests pass. */
  fate: (subject: string, options: PublishOptions | undefined, data: Uint8Array) => Fate = () =>
    "pass";
  #held: (() => void)[] = [];

  constructor(name: string, open: OpenPeer, signer: Signer) {
    this.name = name;
    this.open = open;
    this.signer = signer;
    const { transport } = open;
    const send = transport.publish.bind(transport);
    transport.publish = (subject, data, options) => {
      const fate = this.fate(subject, options, data);
      if (fate === "drop") return;
      if (fate === "hold") return void this.#held.push(() => send(subject, data, options));
      if (fate === "unanswered" && options?.reply !== undefined) {
        const { reply, ...rest } = options;
        return send(subject, data, rest);
      }
      send(subject, data, options);
      if (fate === "twice") send(subject, data, options);
    };
  }

  /** Sends as if it had come from the peer itself. */
  say(subject: string, data: Uint8Array, options?: PublishOptions): void {
    this.open.transport.publish(subject, data, options);
  }

  /** As after SIGSTOP: records on their way are held back, everything else is not even tried. */
  freeze(): void {
    this.fate = (subject) => (isRecord(subject) ? "hold" : "drop");
  }

  thaw(): void {
    this.fate = () => "pass";
    for (const send of this.#held.splice(0)) send();
  }

  /** As after kill -9: no farewell, nothing handed back. */
  kill(): Promise<void> {
    return this.open.transport.connection.close();
  }

  host(capability: string, slots: number, run: Service["run"], over: Partial<Service> = {}): void {
    const services = [{ capability: { name: capability, version: "1.0.0" }, run, ...over }];
    this.open.peer.host({ name: "w", slots, services });
  }
}

export function isRecord(subject: string): boolean {
  return subject.startsWith("$KV.mesh_tasks.");
}

/** Kind of the record under a subject: `$KV.mesh_tasks.<owner>.<task>.<kind>…`. */
export function kindOf(subject: string): string {
  return isRecord(subject) ? (subject.split(".")[4] ?? "") : "";
}

export interface StageOptions {
  /** Where histories go, and the file that tells the judge who plays: public keys, slots. */
  dir: string;
  cast: string;
  home: Home;
  url: string;
}

export interface PlayerOptions {
  /** An attacker keeps no history: what he stores is not held against the product. */
  insider?: boolean;
}

export class Stage {
  readonly #o: StageOptions;
  readonly #players: Player[] = [];
  readonly #histories: { close(): void }[] = [];
  readonly #faults: HistoryFile;
  #keys: Record<string, string> = {};
  #slots: Record<string, number> = {};
  #seen: HistoryEvent[] = [];
  #watchers = new Set<() => void>();
  readonly trackers: Tracker[] = [];
  ina!: Player;
  sue!: Player;

  constructor(o: StageOptions) {
    this.#o = o;
    this.#faults = openHistory(join(o.dir, "nemesis.ndjson"), "nemesis");
  }

  async player(
    name: string,
    role: Role,
    capabilities: readonly string[] = [],
    o: PlayerOptions = {},
  ): Promise<Player> {
    const { dir, home, url } = this.#o;
    const creds = await mintUser(home, { name, role, capabilities });
    this.#keys[name] = creds.identity.publicKey;
    this.#tellCast();
    const file = o.insider ? undefined : openHistory(join(dir, `${name}.ndjson`), name);
    if (file !== undefined) this.#histories.push(file);
    const history: History = {
      note: (event) => {
        file?.note(event);
        this.#seen.push(event);
        for (const look of this.#watchers) look();
      },
    };
    const identity = credentialsOf(creds, home);
    const open = await openPeer({
      ...identity,
      servers: url,
      name,
      principal: name,
      agent: "main",
      role,
      silenceMs: 600,
      log: silent,
      history,
    });
    const player = new Player(name, open, identity.signer);
    this.#players.push(player);
    return player;
  }

  #tellCast(): void {
    writeFileSync(this.#o.cast, JSON.stringify({ keys: this.#keys, slots: this.#slots }));
  }

  /** A contractor with one capability and a handler. */
  async worker(
    name: string,
    capability: string,
    run: (run: Run) => Promise<RunResult> | RunResult,
    o: PlayerOptions & { slots?: number; cost?: number; bids?: boolean } = {},
  ): Promise<Player> {
    const player = await this.player(name, "contractor", [capability], o);
    const slots = o.slots ?? 4;
    this.#slots[`${name}.w`] = slots;
    this.#tellCast();
    player.host(capability, slots, async (r) => run(r), {
      capability: { name: capability, version: "1.0.0", cost: o.cost ?? 1, durationMs: 10 },
      ...(o.bids === false ? { bid: () => undefined } : {}),
    });
    await this.known(capability, name);
    return player;
  }

  /** Waits until the initiator has the agent's card. */
  async known(capability: string, name: string): Promise<void> {
    await this.until(() =>
      this.ina.open.peer.registry.find(capability).some((card) => card.principal === name),
    );
  }

  async submit(capability: string, options: TaskOptions = {}, input: unknown = { n: 1 }) {
    const tracker = await this.sue.open.peer.submitters.submit(capability, input, {
      timeoutMs: 60_000,
      award: { policy: "cheapest" },
      ...options,
      retry: { attempts: 3, backoffMs: 20, ...options.retry },
    });
    this.trackers.push(tracker);
    return tracker;
  }

  /** Tells the judge of a fault that is played on purpose. */
  async fault(op: string, target: Player, during: () => Promise<unknown>): Promise<void> {
    const about = { op, target: target.name };
    this.#faults.note({ k: "inv", ...about });
    await during();
    this.#faults.note({ k: "ok", ...about });
  }

  /** The first event, noted already or to come; undefined when there is none in time. */
  async saw(
    fits: (e: HistoryEvent) => boolean,
    limitMs = 4_000,
  ): Promise<HistoryEvent | undefined> {
    let found: HistoryEvent | undefined;
    await this.until(() => {
      found = this.#seen.find(fits);
      return found !== undefined;
    }, limitMs);
    return found;
  }

  seen(fits: (e: HistoryEvent) => boolean): number {
    return this.#seen.filter(fits).length;
  }

  /**
   * Waits for a condition, or until the limit. A planted bug may well keep it from ever coming, so
   * what did not happen is the judge's business, not the play's.
   */
  until(condition: () => boolean, limitMs = 4_000): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (met: boolean) => {
        clearTimeout(timer);
        clearInterval(again);
        this.#watchers.delete(look);
        resolve(met);
      };
      const look = () => {
        if (condition()) end(true);
      };
      const timer = setTimeout(() => end(condition()), limitMs);
      const again = setInterval(look, 5);
      this.#watchers.add(look);
      look();
    });
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms));
  }

  async close(): Promise<void> {
    await Promise.all(this.#players.map((p) => p.open.close(0).catch(() => undefined)));
    for (const history of this.#histories) history.close();
    this.#faults.close();
  }
}
