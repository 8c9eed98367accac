// A nats-server of our own: loopback, a port that the server chose itself, a store of its own,
// its name checked against a nonce before anybody else talks to it, gone when we go.
import { randomBytes } from "node:crypto";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Say } from "./child.ts";
import { findServer } from "./find-server.ts";
import { type Exit, GuardLink, type Run } from "./guard-link.ts";
import { isAlive, lockOwner, lockPollMs, removeDeadLock, takeLock } from "./lock-file.ts";
import { checkServerName, readServerInfo } from "./server-info.ts";

export interface ServerOptions {
  /** The program; default: what `findServer` finds or fetches. */
  readonly binary?: string;
  /** Content of a nats-server configuration, included before our own settings. It must not set
   * `store_dir` (the server refuses to have it twice) nor listen on anything but loopback. */
  readonly config?: string;
  /** The same as a file; its own includes are looked up beside it. Both may be given. */
  readonly configFile?: string;
  /** Its server name, which no other server may have: what answers under it is taken for ours.
   * Default: a new nonce. A server of a cluster keeps its name, by which the others know it. */
  readonly name?: string;
  /** Client port; default: a free one that the server chooses. */
  readonly port?: number;
  /** Open the monitoring port too (a free one); default false. */
  readonly monitor?: boolean;
  /** JetStream on; default true. */
  readonly jetstream?: boolean;
  /** Where JetStream keeps its data; stays afterwards. Default: a temporary folder that goes
   * with the server. */
  readonly storeDir?: string;
  /** Keep the temporary store too, for a look afterwards; default false. */
  readonly keepStore?: boolean;
  /** Further arguments for nats-server. */
  readonly extraArgs?: readonly string[];
  /** Time until it must be ready, in ms; default 10 000 (a large store takes time to read). */
  readonly readyTimeoutMs?: number;
  readonly say?: Say;
}

export interface RunningServer {
  /** `nats://127.0.0.1:<port>` */
  readonly url: string;
  readonly port: number;
  readonly monitorUrl?: string;
  /** All addresses by kind (`nats`, `monitoring`, `websocket`, `cluster`), as the server says. */
  readonly addresses: Readonly<Record<string, readonly string[]>>;
  /** Its server name: the nonce that it was checked against. */
  readonly name: string;
  /** Of the server itself; another one after `restart`. */
  readonly pid: number;
  readonly storeDir: string;
  /** Its output, for error messages and for people. */
  readonly logFile: string;
  readonly binary: string;
  readonly version: string;
  /** Settles when the server that runs now has ended, by whatever cause. */
  readonly exited: Promise<Exit>;
  /** Ends it in order (SIGTERM, after 5 s SIGKILL) and removes what is temporary. */
  stop(): Promise<void>;
  /** Sends a signal, for fault tests; wait on `exited` where it is deadly. */
  kill(signal: NodeJS.Signals): void;
  /** Ends it in order if it runs, then starts it with the same ports, name and store. */
  restart(): Promise<void>;
}

/** No server, or not ours. The message holds the end of its log. */
export class ServerStartError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "ServerStartError";
  }
}

const readyTimeoutMsDefault = 10_000;
const stopTimeoutMs = 5_000;
const infoTimeoutMs = 5_000;
/** How often the ports file is looked for; the server is ready after 10 to 20 ms. */
const portsPollMs = 3;
const logCharsInError = 1_500;

/** Starts a nats-server and waits until it is ready and known to be ours. Rejects with
 * `ServerStartError`, or `ServerNotFoundError` when there is no program. */
export async function startServer(options: ServerOptions = {}): Promise<RunningServer> {
  const { say } = options;
  const binary = options.binary ?? (await findServer(say === undefined ? {} : { say })).binary;
  const server = new OwnServer(binary, options);
  try {
    await server.open();
    await server.start();
  } catch (error) {
    await server.stop();
    throw error;
  }
  say?.(`started nats-server ${server.version} on ${server.url}, store in ${server.storeDir}`);
  return server;
}

/** A server name that nobody else has or can guess. */
export function nonce(): string {
  return `parley-${randomBytes(12).toString("hex")}`;
}

class OwnServer implements RunningServer {
  readonly name: string;
  readonly binary: string;
  readonly storeDir: string;
  readonly logFile: string;
  url = "";
  port = 0;
  monitorUrl?: string;
  addresses: Readonly<Record<string, readonly string[]>> = {};
  version = "";
  pid = 0;
  exited: Promise<Exit> = Promise.resolve({ code: 0, signal: null });
  readonly #options: ServerOptions;
  readonly #folder: string;
  readonly #guard: GuardLink;
  readonly #remove: string[] = [];
  #running = false;
  #stopped: Promise<void> | undefined;

  constructor(binary: string, options: ServerOptions) {
    this.binary = binary;
    this.name = options.name ?? nonce();
    this.#options = options;
    // The real path, because the server resolves our include from there.
    this.#folder = realpathSync(mkdtempSync(join(tmpdir(), "parley-server-")));
    this.storeDir = resolve(options.storeDir ?? join(this.#folder, "store"));
    this.logFile = join(this.#folder, "server.log");
    this.#guard = new GuardLink(this.logFile);
  }

  /** Takes the store and tells the guard what to remove; no server yet. */
  async open(): Promise<void> {
    const { storeDir, keepStore } = this.#options;
    const kept = storeDir !== undefined || keepStore === true;
    if (storeDir !== undefined || keepStore !== true) this.#remove.push(this.#folder);
    await mkdir(this.storeDir, { recursive: true });
    const graceMs = kept ? stopTimeoutMs : 0;
    this.#guard.order({ do: "hold", remove: this.#remove, graceMs });
    if (storeDir === undefined) return;
    const lock = join(this.storeDir, "parley.lock");
    await this.#lockStore(lock);
    this.#remove.push(lock);
    this.#guard.order({ do: "hold", remove: this.#remove, graceMs });
  }

  /** nats-server does not notice a second one on the same store, and both would write. */
  async #lockStore(lock: string): Promise<void> {
    while (!takeLock(lock, this.#guard.pid)) {
      if (removeDeadLock(lock)) continue;
      const owner = lockOwner(lock);
      if (owner !== undefined && isAlive(owner)) {
        throw new ServerStartError(
          `the store ${this.storeDir} is in use by another server of ours (its guard is process ` +
            `${owner}). Stop that one, or name another store.`,
        );
      }
      await pause(lockPollMs);
    }
  }

  async start(): Promise<void> {
    await this.#removePortsFiles();
    const log = await this.#logSize();
    const run = this.#guard.start(this.binary, this.#args(), this.logFile);
    this.exited = run.exited;
    try {
      this.pid = await run.pid;
      this.#running = true;
      void run.exited.then(() => {
        this.#running = false;
      });
      await this.#becomeReady(run);
    } catch (error) {
      const tail = (await readFile(this.logFile, "utf8").catch(() => "")).slice(log).trim();
      const shown = tail === "" ? "" : `\n${tail.slice(-logCharsInError)}`;
      throw new ServerStartError(`${this.binary}: ${(error as Error).message}${shown}`);
    }
  }

  #args(): string[] {
    const { jetstream, monitor, extraArgs } = this.#options;
    const args = ["-a", "127.0.0.1", "-p", String(this.port || (this.#options.port ?? -1))];
    const monitorPort = this.monitorUrl === undefined ? -1 : new URL(this.monitorUrl).port;
    if (monitor === true) args.push("-m", String(monitorPort));
    if (jetstream !== false) args.push("-js", "-sd", this.storeDir);
    args.push("--ports_file_dir", this.#folder, "-c", this.#writeConfig());
    return [...args, ...(extraArgs ?? [])];
  }

  /** nats-server joins an include to the folder of the including file, absolute or not. */
  #writeConfig(): string {
    const { config, configFile } = this.#options;
    const lines: string[] = [];
    if (configFile !== undefined) {
      const file = relative(this.#folder, realpathSync(configFile)).replaceAll("\\", "/");
      lines.push(`include ${JSON.stringify(file)}`);
    }
    if (config !== undefined) {
      writeFileSync(join(this.#folder, "given.conf"), config);
      lines.push('include "given.conf"');
    }
    // Not as an argument: the server then refuses every later reload of its configuration.
    lines.push(`server_name: ${JSON.stringify(this.name)}`);
    const path = join(this.#folder, "server.conf");
    writeFileSync(path, `${lines.join("\n")}\n`);
    return path;
  }

  async #becomeReady(run: Run): Promise<void> {
    const addresses = await this.#readAddresses(run);
    for (const address of Object.values(addresses).flat()) checkLoopback(address);
    const [client] = addresses.nats ?? [];
    if (client === undefined) throw new Error("it listens for no clients");
    const port = Number(new URL(client).port);
    const info = await readServerInfo("127.0.0.1", port, infoTimeoutMs);
    checkServerName(info, this.name, `127.0.0.1:${port}`);
    this.port = port;
    this.url = `nats://127.0.0.1:${port}`;
    this.version = info.version;
    this.addresses = addresses;
    const [monitor] = addresses.monitoring ?? [];
    if (monitor !== undefined) this.monitorUrl = monitor;
  }

  /** Waits for the ports file, which the server writes when it is ready. */
  async #readAddresses(run: Run): Promise<Record<string, string[]>> {
    let ended: Exit | undefined;
    void run.exited.then((exit) => {
      ended = exit;
    });
    const timeoutMs = this.#options.readyTimeoutMs ?? readyTimeoutMsDefault;
    const dueAt = performance.now() + timeoutMs;
    while (performance.now() < dueAt) {
      const addresses = await this.#portsFile();
      if (addresses !== undefined) return addresses;
      if (ended !== undefined) {
        throw new Error(`it ended while starting (${ended.code ?? ended.signal})`);
      }
      await pause(portsPollMs);
    }
    throw new Error(`not ready within ${timeoutMs} ms`);
  }

  async #portsFile(): Promise<Record<string, string[]> | undefined> {
    const name = (await readdir(this.#folder)).find((each) => each.endsWith(".ports"));
    if (name === undefined) return undefined;
    try {
      return JSON.parse(await readFile(join(this.#folder, name), "utf8"));
    } catch {
      return undefined; // half written
    }
  }

  /** A killed server leaves its ports file behind. */
  async #removePortsFiles(): Promise<void> {
    const names = await readdir(this.#folder).catch(() => []);
    for (const name of names.filter((each) => each.endsWith(".ports"))) {
      rmSync(join(this.#folder, name), { force: true });
    }
  }

  async #logSize(): Promise<number> {
    return (await readFile(this.logFile, "utf8").catch(() => "")).length;
  }

  kill(signal: NodeJS.Signals): void {
    this.#guard.order({ do: "signal", signal });
  }

  async restart(): Promise<void> {
    if (this.#stopped !== undefined) throw new ServerStartError("it was stopped for good");
    await this.#end();
    await this.start();
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#close();
    return this.#stopped;
  }

  async #close(): Promise<void> {
    await this.#end();
    await this.#guard.release();
    // Done by the guard already, unless somebody killed it.
    for (const path of this.#remove) await rm(path, { recursive: true, force: true });
  }

  /** SIGTERM, and SIGKILL for what does not heed it; returns when the process is gone. */
  async #end(): Promise<void> {
    if (!this.#running) return;
    this.kill("SIGTERM");
    const timer = setTimeout(() => this.kill("SIGKILL"), stopTimeoutMs);
    await this.exited;
    clearTimeout(timer);
  }
}

function checkLoopback(address: string): void {
  const { hostname } = new URL(address);
  if (/^127\.|^localhost$|^\[::1\]$/.test(hostname)) return;
  throw new Error(`it would listen on ${address}; configure 127.0.0.1 for every listener`);
}
