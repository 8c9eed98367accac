// Three nats-servers of our own on this machine, as one cluster: loopback, free ports, a store
// each, routes with credentials, gone when we go. Three servers on one machine are for trying out
// and for tests; they fail together.
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { NatsConnection } from "@nats-io/nats-core";
import { z } from "zod";
import { ParleyError } from "../../../contracts/failure.ts";
import { connectNats } from "../connect.ts";
import { credsAuth } from "../identity/authenticator.ts";
import type { Creds } from "../identity/creds.ts";
import { readJson, writeSecret } from "../identity/files.ts";
import {
  type Home,
  mintUser,
  systemCreds,
  writeMemberConfig,
  writeServerAuth,
} from "../identity/home.ts";
import type { SyncProfile } from "../identity/server-config.ts";
import type { Say } from "./child.ts";
import { findServer } from "./find-server.ts";
import { nonce, type RunningServer, ServerStartError, startServer } from "./run-server.ts";
import { ailments, type Standing, standing } from "./standing.ts";
import { moveLeadersAway } from "./step-down.ts";

/** A majority of three outlives the loss of one. */
export const CLUSTER_SIZE = 3;
/** Until the servers have found each other and a leader, ms; an election takes up to 9 s. */
const READY_MS = 30_000;
const STEP_DOWN_MS = 5_000;
const STOP_MS = 5_000;
const ANSWER_MS = 1_000;
const LOOK_MS = 50;
/** A member that ended by itself is started again after this, ms, so many times in a row. */
const AGAIN_MS = 500;
const AGAIN_MAX = 5;

export interface ClusterOptions {
  home: Home;
  /** Holds the store of each server; stays afterwards. Default: temporary ones. */
  storeDir?: string;
  /** Store of each server, in order; instead of `storeDir`, when each has a disk of its own. */
  storeDirs?: readonly string[];
  /** Client port of the first; the others take the next two. Default: free ones. */
  port?: number;
  /** Default `durable`: every acknowledged write is on the disk of two servers. */
  sync?: SyncProfile;
  monitor?: boolean;
  binary?: string;
  /** Start a member again that ends by itself; default false. */
  supervise?: boolean;
  say?: Say;
}

/** What must stay the same as long as the stores are kept: the servers know each other by name. */
const IdentitySchema = z.object({
  name: z.string(),
  password: z.string(),
  servers: z.array(z.string()).length(CLUSTER_SIZE),
});
type Identity = z.infer<typeof IdentitySchema>;

/**
 * Starts three servers and waits until they are one cluster with a leader.
 * @throws ServerStartError; ParleyError E_STORE when the stores are there without their names.
 */
export async function startCluster(o: ClusterOptions): Promise<Cluster> {
  const binary = o.binary ?? (await findServer(o.say === undefined ? {} : { say: o.say })).binary;
  const identity = await identityOf(o);
  // Two of the ports may be gone by the time that the servers take them.
  for (let tries = 1; ; tries++) {
    const cluster = new Cluster(o, identity);
    try {
      await cluster.open(binary);
      return cluster;
    } catch (error) {
      await cluster.stop();
      const taken = error instanceof ServerStartError && /in use/.test(error.message);
      if (!taken || tries === 3 || o.port !== undefined) throw error;
    }
  }
}

async function identityOf(o: ClusterOptions): Promise<Identity> {
  const fresh: Identity = {
    name: nonce(),
    password: randomBytes(24).toString("base64url"),
    servers: Array.from({ length: CLUSTER_SIZE }, nonce),
  };
  if (o.storeDir === undefined) return fresh;
  const file = join(o.storeDir, "cluster.json");
  const kept = await readJson(file, IdentitySchema);
  if (kept !== undefined) return kept;
  if (existsSync(join(o.storeDir, "n1", "jetstream"))) {
    throw new ParleyError(
      "E_STORE",
      `${file} is missing: without their names the servers do not know the stores beside it; ` +
        "restore it from a copy, or name another store",
    );
  }
  await mkdir(o.storeDir, { recursive: true });
  await writeSecret(file, `${JSON.stringify(fresh, null, 2)}\n`);
  return fresh;
}

export class Cluster {
  readonly servers: RunningServer[] = [];
  /** Rejects when a member ended and could not be brought back; never resolves. */
  readonly broken: Promise<never>;
  readonly #o: ClusterOptions;
  readonly #identity: Identity;
  readonly #break: (reason: Error) => void;
  /** Members that are meant to be down, or that a signal has stopped. */
  readonly #away = new Set<number>();
  #admin: Creds | undefined;
  #system: Creds | undefined;
  #stopped: Promise<void> | undefined;

  constructor(o: ClusterOptions, identity: Identity) {
    this.#o = o;
    this.#identity = identity;
    const broken = Promise.withResolvers<never>();
    this.broken = broken.promise;
    this.broken.catch(() => undefined);
    this.#break = broken.reject;
  }

  /** All three, also those that are down: clients try them in turn. */
  get urls(): string[] {
    return this.servers.map((s) => s.url);
  }

  async open(binary: string): Promise<void> {
    const { home, say } = this.#o;
    await writeServerAuth(home);
    this.#system = await systemCreds(home);
    this.#admin = await mintUser(home, { name: "parley-cluster", role: "admin" });
    const ports = await freePorts(CLUSTER_SIZE);
    const starts = await Promise.allSettled(
      this.#identity.servers.map((name, i) => this.#start(binary, name, i, ports)),
    );
    for (const s of starts) if (s.status === "fulfilled") this.servers.push(s.value);
    for (const s of starts) if (s.status === "rejected") throw s.reason;
    await this.whole(READY_MS);
    if (this.#o.supervise === true) this.servers.forEach((_, i) => void this.#watch(i));
    say?.(`three servers in a cluster: ${this.urls.join(", ")}`);
  }

  async #start(binary: string, name: string, i: number, ports: number[]): Promise<RunningServer> {
    const { home, storeDir, storeDirs, port, sync, monitor } = this.#o;
    const configFile = await writeMemberConfig(home, i + 1, {
      port: -1,
      sync: sync ?? "durable",
      cluster: {
        name: this.#identity.name,
        port: ports[i] as number,
        routes: ports.map((each) => `nats://127.0.0.1:${each}`),
        credentials: { user: "route", password: this.#identity.password },
      },
    });
    const store =
      storeDirs?.[i] ?? (storeDir === undefined ? undefined : resolve(storeDir, `n${i + 1}`));
    return startServer({
      binary,
      configFile,
      name,
      readyTimeoutMs: READY_MS,
      ...(store === undefined ? {} : { storeDir: store }),
      ...(port === undefined ? {} : { port: port + i }),
      ...(monitor === true ? { monitor } : {}),
    });
  }

  /** Servers that should answer now. */
  get #running(): RunningServer[] {
    return this.servers.filter((_, i) => !this.#away.has(i));
  }

  /** Who leads what; says `meta: undefined` also when nobody can be asked. */
  async standing(): Promise<Standing> {
    const { length } = this.#running;
    return this.#ask(this.#system, (nc) => standing(nc, length, ANSWER_MS)).catch(() => ({
      meta: undefined,
      size: 0,
      metaCurrent: 0,
      servers: [],
      groups: [],
    }));
  }

  /** Index of the member that leads the stream, or the cluster itself; undefined: nobody does. */
  async leader(stream?: string): Promise<number | undefined> {
    const now = await this.standing();
    const group = now.groups.find((g) => g.stream === stream && g.consumer === undefined);
    const name = stream === undefined ? now.meta : group?.leader;
    const i = this.servers.findIndex((s) => s.name === name);
    return i < 0 ? undefined : i;
  }

  /**
   * Waits until all members that should run are in, with a leader of everything and every copy up
   * to date. @throws ServerStartError when the time is up.
   */
  async whole(timeoutMs: number = READY_MS): Promise<void> {
    const end = performance.now() + timeoutMs;
    for (;;) {
      const { length } = this.#running;
      const fault = wanting(await this.standing(), length) ?? (await this.#ailment(length));
      if (fault === undefined) return;
      if (performance.now() > end) {
        throw new ServerStartError(`the cluster is not whole after ${timeoutMs} ms: ${fault}`);
      }
      await pause(LOOK_MS);
    }
  }

  #ailment(running: number): Promise<string | undefined> {
    return this.#ask(this.#system, (nc) => ailments(nc, running, ANSWER_MS)).then(
      (found) => found[0],
      (error: Error) => error.message,
    );
  }

  /** Moves what a member leads to the others. Resolves with what it could not move. */
  stepDown(i: number): Promise<string[]> {
    const { name } = this.#member(i);
    return this.#ask(this.#admin, (admin) =>
      this.#ask(this.#system, (system) =>
        moveLeadersAway(name, {
          admin,
          system,
          running: this.#running.length,
          timeoutMs: STEP_DOWN_MS,
        }),
      ),
    );
  }

  /** Stops a member in order: its leaders go first. `start` brings it back. */
  async stopMember(i: number): Promise<void> {
    if (!this.#away.has(i) && this.#running.length > 1) {
      const left = await this.stepDown(i).catch((error: Error) => [error.message]);
      if (left.length > 0) this.#o.say?.(`not moved before the stop: ${left.join(", ")}`);
    }
    const server = this.#member(i);
    this.#away.add(i);
    server.kill("SIGTERM");
    const timer = setTimeout(() => server.kill("SIGKILL"), STOP_MS);
    await server.exited;
    clearTimeout(timer);
  }

  /** Sends a signal to a member, for fault tests; with SIGKILL, resolves when it is gone. */
  async signal(i: number, signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): Promise<void> {
    const server = this.#member(i);
    if (signal === "SIGCONT") this.#away.delete(i);
    else this.#away.add(i);
    server.kill(signal);
    if (signal === "SIGKILL") await server.exited;
  }

  /** Starts a member that is down, or ends and starts one that runs. */
  async start(i: number): Promise<void> {
    await this.#member(i).restart();
    if (this.#away.delete(i) && this.#o.supervise === true) void this.#watch(i);
  }

  /** Ends all of them, one after the other where the stores are kept. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const kept = this.#o.storeDir !== undefined || this.#o.storeDirs !== undefined;
    const all = this.servers.map((_, i) => i);
    // The last one has nobody to hand over to.
    for (const i of kept ? all.slice(0, -1) : []) {
      if (!this.#away.has(i)) await this.stopMember(i);
    }
    await Promise.all(this.servers.map((s) => s.stop()));
  }

  #member(i: number): RunningServer {
    const server = this.servers[i];
    if (server === undefined) throw new RangeError(`no member ${i} of ${this.servers.length}`);
    return server;
  }

  /** Brings a member back whenever it ends without having been asked to. */
  async #watch(i: number): Promise<void> {
    const server = this.#member(i);
    for (let failed = 0; failed < AGAIN_MAX; ) {
      const exit = await server.exited;
      if (this.#stopped !== undefined || this.#away.has(i)) return;
      const how = exit.code ?? exit.signal;
      this.#o.say?.(`server ${server.url} ended by itself (${how}); it is started again`);
      await pause(AGAIN_MS * (failed + 1));
      if (this.#stopped !== undefined) return;
      const error = await server.restart().catch((reason: Error) => reason);
      failed = error === undefined ? 0 : failed + 1;
      if (error !== undefined) this.#o.say?.(error.message);
    }
    this.#break(
      new ServerStartError(`server ${server.url} does not stay up; its log: ${server.logFile}`),
    );
  }

  async #ask<T>(creds: Creds | undefined, work: (nc: NatsConnection) => Promise<T>): Promise<T> {
    const nc = await connectNats({
      servers: this.#running.map((s) => s.url),
      name: "parley cluster",
      timeoutMs: ANSWER_MS,
      ...(creds === undefined ? {} : { authenticator: credsAuth(creds) }),
      ...(creds === this.#admin ? { principal: "parley-cluster" } : {}),
    });
    try {
      return await work(nc);
    } finally {
      await nc.close();
    }
  }
}

/** What is not as it should be, with so many servers running. */
function wanting(now: Standing, running: number): string | undefined {
  if (now.servers.length < running) return `${now.servers.length} of ${running} servers answer`;
  if (now.meta === undefined) return "no leader";
  if (now.metaCurrent < running - 1) return `${now.metaCurrent + 1} of ${running} follow it`;
  for (const { stream, consumer, leader, others } of now.groups) {
    const what = consumer === undefined ? stream : `${stream} > ${consumer}`;
    if (leader === undefined) return `${what} has no leader`;
    const current = others.filter((o) => o.current).length;
    if (others.length > 0 && current < running - 1) return `copies of ${what} are behind`;
  }
  return undefined;
}

/** Ports that nobody listens on now, all different. */
async function freePorts(count: number): Promise<number[]> {
  const probes = await Promise.all(Array.from({ length: count }, listen));
  const ports = probes.map((p) => (p.address() as { port: number }).port);
  await Promise.all(probes.map((p) => new Promise((done) => p.close(done))));
  return ports;
}

function listen(): Promise<Server> {
  return new Promise((done, fail) => {
    const probe = createServer();
    probe.once("error", fail);
    probe.listen({ port: 0, host: "127.0.0.1" }, () => done(probe));
  });
}
