// A mesh for breaking: a supervised server with real credentials, worker processes, a submitter
// that survives everything, and a nemesis that writes down what it does.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type HistoryFile, openHistory } from "../../check/history-file.ts";
import type { Role } from "../../contracts/index.ts";
import type { OpenPeer } from "../../mesh/index.ts";
import { type LocalMesh, type Profile, startLocalMesh } from "../../mesh/local.ts";
import { keyFromSeed } from "../../mesh/nats/identity/keys.ts";
import type { WorkerPlan } from "./orders.ts";
import { Worker } from "./workers.ts";

export const CAPABILITY = "work";

export interface WorldOptions {
  profile?: Profile;
  /** Against the profile, to show what it is good for. */
  sync?: "dev";
  /** Contractor processes, and agents in all of them together. */
  contractors?: number;
  agents?: number;
  initiators?: number;
  /** Processes that run workflows; they initiate, too. */
  conductors?: number;
  slots?: number;
  capabilities?: string[];
  /** A connection, with credentials of its own, per contractor process (default) or per agent. */
  connections?: "process" | "agent";
  /** Where a worker connects: a proxy may stand between; default: the server itself. */
  route?: (worker: string, url: string) => string | Promise<string>;
  storeDir?: string;
  /** Of `durable-3`: a disk for each server. */
  storeDirs?: readonly string[];
  /** Start a killed server again at once; default true. Of `durable-3` never: the scenario does. */
  superviseServer?: boolean;
}

export interface WorldSetting {
  dir: string;
  agents: number;
  seed: number;
  say(line: string): void;
}

/** Pause before a killed worker or server is started again, ms. */
const RESTART_MS = 300;

export class World {
  readonly mesh: LocalMesh;
  readonly dir: string;
  readonly load: OpenPeer;
  readonly nemesis: HistoryFile;
  readonly workers = new Map<string, Worker>();
  /** Public key of every principal of this run, for the judge. */
  readonly keys = new Map<string, string>();
  readonly faults = { planned: 0, seen: 0 };
  readonly say: (line: string) => void;
  readonly #history: HistoryFile;
  readonly #o: WorldOptions;
  readonly #seed: number;
  #restarts = new Set<Promise<unknown>>();
  #closing = false;
  #serverUp: Promise<void> = Promise.resolve();
  #count = 0;

  private constructor(
    mesh: LocalMesh,
    s: WorldSetting,
    o: WorldOptions,
    load: OpenPeer,
    history: HistoryFile,
  ) {
    this.mesh = mesh;
    this.dir = s.dir;
    this.say = s.say;
    this.load = load;
    this.#history = history;
    this.#o = o;
    this.#seed = s.seed;
    this.keys.set("load", load.peer.options.signer?.publicKey ?? "");
    this.nemesis = openHistory(join(s.dir, "nemesis.ndjson"), "nemesis");
    if (o.superviseServer !== false && mesh.cluster === undefined) this.#supervise();
  }

  /** Resolves when every process is in and every agent is known to the initiators. */
  static async start(s: WorldSetting, o: WorldOptions = {}): Promise<World> {
    await mkdir(s.dir, { recursive: true });
    const mesh = await startLocalMesh({
      profile: o.profile ?? "durable-1",
      audit: false,
      monitor: true,
      ...(o.storeDir === undefined ? {} : { storeDir: o.storeDir }),
      ...(o.sync === undefined ? {} : { sync: o.sync }),
      ...(o.storeDirs === undefined ? {} : { storeDirs: o.storeDirs }),
    });
    const history = openHistory(join(s.dir, "load.ndjson"), "load");
    const load = await mesh.open("load", "submitter", [], { history });
    const world = new World(mesh, s, o, load, history);
    try {
      await world.#populate(s.agents);
    } catch (error) {
      await world.close();
      throw error;
    }
    return world;
  }

  get contractors(): Worker[] {
    return [...this.workers.values()].filter((w) => w.plan.agents > 0);
  }

  get initiators(): Worker[] {
    return [...this.workers.values()].filter((w) => w.plan.agents === 0 && !w.plan.conducts);
  }

  get conductors(): Worker[] {
    return [...this.workers.values()].filter((w) => w.plan.conducts === true);
  }

  async #populate(agents: number): Promise<void> {
    const { contractors = 8, initiators = 3 } = this.#o;
    const all = this.#o.agents ?? agents;
    for (let i = 0; i < initiators; i++) await this.join("initiator", 0, `ini${i}`);
    for (let i = 0; i < contractors; i++) {
      const share = Math.floor(all / contractors) + (i < all % contractors ? 1 : 0);
      await this.join("contractor", share, `con${i}`);
    }
    const { conductors = 0 } = this.#o;
    for (let i = 0; i < conductors; i++)
      await this.join("agent", 0, `flow${i}`, ["workflow"], true);
    await this.known(all + conductors);
    this.say(`${contractors} contractor processes with ${all} agents, ${initiators} initiators`);
  }

  /** Waits until every initiator knows so many agents. */
  async known(agents: number): Promise<void> {
    const end = performance.now() + 30_000;
    for (;;) {
      const tallies = await Promise.all(this.initiators.map((w) => w.tally()));
      const capabilities = this.#o.capabilities?.length ?? 1;
      if (tallies.every((t) => t.known >= agents * capabilities)) return;
      if (performance.now() > end) throw new Error(`the registry does not show ${agents} agents`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async join(
    role: Role,
    agents: number,
    name: string,
    capabilities: string[] = this.#o.capabilities ?? [CAPABILITY],
    conducts = false,
  ): Promise<Worker> {
    const offers = role === "contractor" || conducts ? capabilities : [];
    const creds = await this.mesh.mint(name, role, offers);
    this.keys.set(name, keyFromSeed(creds.seed).publicKey);
    const { urls, server } = this.mesh;
    const each = role === "contractor" && this.#o.connections === "agent";
    const plan: WorkerPlan = {
      name,
      role,
      servers: (await this.#o.route?.(name, server.url)) ?? urls,
      creds,
      trust: this.mesh.home.trust,
      agents,
      ...(each ? { own: await this.#mintEach(name, agents, capabilities) } : {}),
      slots: this.#o.slots ?? 1,
      capabilities,
      ...(conducts ? { conducts } : {}),
      history: "",
      seed: `${this.#seed}/${name}`,
    };
    return this.#spawn(plan);
  }

  async #mintEach(name: string, agents: number, capabilities: string[]) {
    const own: NonNullable<WorkerPlan["own"]> = [];
    for (let i = 0; i < agents; i++) {
      const each = `${name}x${i}`;
      const creds = await this.mesh.mint(each, "contractor", capabilities);
      this.keys.set(each, keyFromSeed(creds.seed).publicKey);
      own.push({ name: each, creds });
    }
    return own;
  }

  async #spawn(plan: WorkerPlan): Promise<Worker> {
    // A file per life: a counter that began again within one would look like a lost tail.
    const history = join(this.dir, `${plan.name}-${this.#count++}.ndjson`);
    const worker = new Worker({ ...plan, history }, (w) => {
      if (this.workers.get(plan.name) === w) this.workers.delete(plan.name);
      if (this.#closing) return;
      this.nemesis.note({ k: "obs", op: "died", target: plan.name });
      if (w.restart) this.#bringBack(plan);
    });
    this.workers.set(plan.name, worker);
    await worker.open();
    return worker;
  }

  #fault(op: string, target: string, act: () => void): void {
    this.faults.planned++;
    this.nemesis.note({ k: "inv", op, target });
    act();
    this.nemesis.note({ k: "ok", op, target });
    this.nemesis.flush();
  }

  /** Starts a process again, however it ended, as a supervisor does. */
  #bringBack(plan: WorkerPlan): void {
    const again = this.#after(RESTART_MS, async () => {
      if (!this.#closing) await this.#spawn(plan);
    }).catch(() => undefined); // it died again: that brings it back once more
    this.#restarts.add(again);
    void again.then(() => this.#restarts.delete(again));
  }

  /** kill -9; the process is started again unless `restart` is false. */
  async kill(worker: Worker, restart = true): Promise<void> {
    worker.restart = restart;
    this.#fault("kill", worker.plan.name, () => worker.signal("SIGKILL"));
    await worker.gone;
    this.faults.seen++;
  }

  /** Waits until all that was killed is back. */
  async whole(): Promise<void> {
    while (this.#restarts.size > 0) await Promise.allSettled([...this.#restarts]);
  }

  pause(worker: Worker): void {
    this.#fault("stop", worker.plan.name, () => worker.signal("SIGSTOP"));
    this.faults.seen++;
  }

  resume(worker: Worker): void {
    this.nemesis.note({ k: "ok", op: "cont", target: worker.plan.name });
    this.nemesis.flush();
    worker.signal("SIGCONT");
  }

  /** Blocks a worker's event loop for `ms` every `everyMs`, until `worker.stall(0, 0)`. */
  stall(worker: Worker, ms: number, everyMs: number): void {
    this.#fault("stall", worker.plan.name, () => worker.stall(ms, everyMs));
    this.faults.seen++;
  }

  async killServer(): Promise<void> {
    const { server } = this.mesh;
    // One that is still starting is no server yet.
    await this.#serverUp;
    this.#fault("kill-server", "server", () => server.kill("SIGKILL"));
    await server.exited;
    this.faults.seen++;
  }

  #supervise(): void {
    const { server } = this.mesh;
    void server.exited.then(async () => {
      if (this.#closing) return;
      this.#serverUp = this.#start();
      await this.#serverUp;
      this.nemesis.note({ k: "ok", op: "server-up", target: "server" });
      this.nemesis.flush();
      this.#supervise();
    });
  }

  async #start(): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#after(100, () => this.mesh.server.restart());
      } catch (error) {
        if (this.#closing || tries === 5) throw error;
      }
    }
  }

  #after<T>(ms: number, run: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      setTimeout(() => run().then(resolve, reject), ms);
    });
  }

  /** Ends every worker and the submitter in order; the server stays for the dump. */
  async quiet(): Promise<void> {
    this.#closing = true;
    await this.whole();
    await Promise.all([...this.workers.values()].map((w) => w.close()));
    this.#history.flush();
    this.nemesis.flush();
  }

  async close(): Promise<void> {
    this.#closing = true;
    await Promise.all([...this.workers.values()].map((w) => w.close().catch(() => undefined)));
    await this.load.close(0).catch(() => undefined);
    this.#history.close();
    this.nemesis.close();
    await this.mesh.stop();
  }
}
