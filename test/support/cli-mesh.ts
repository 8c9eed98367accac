// A mesh for tests of the command line: a steward that initiates, two agents that bid. Alice is
// fast and dear, Bob is slow and cheap.
import { readFile } from "node:fs/promises";
import { expect } from "vitest";
import type { Role } from "../../contracts/roles.ts";
import { type AgentDefinition, type OpenPeer, openPeer } from "../../mesh/index.ts";
import { credentialsOf, type LocalMesh, startLocalMesh } from "../../mesh/local.ts";
import { parseCreds } from "../../mesh/nats/identity/creds.ts";
import { addIdentity } from "../../mesh/nats/identity/home.ts";
import { tempDir } from "./nats-server.ts";
import { type Ended, type Program, parley, startParley } from "./program.ts";

/** A handler of `hold` that has started: it ends when told, or when it is aborted. */
export interface Held {
  end(): void;
  signal: AbortSignal;
}

const AGENTS = [
  ["alice", 3, 1],
  ["bob", 1, 4_000],
] as const;

export class CliMesh {
  readonly dir: string;
  readonly local: LocalMesh;
  readonly #remove: () => Promise<void>;
  readonly peers: OpenPeer[] = [];
  #held = Promise.withResolvers<Held>();

  private constructor(dir: string, remove: () => Promise<void>, local: LocalMesh) {
    this.dir = dir;
    this.#remove = remove;
    this.local = local;
  }

  static async start(): Promise<CliMesh> {
    const { dir, remove } = await tempDir();
    const mesh = new CliMesh(dir, remove, await startLocalMesh({ home: `${dir}/.parley` }));
    const { local, peers } = mesh;
    peers.push(await local.open("steward", "agent", [], { use: { contractor: false } }));
    for (const [name, cost, durationMs] of AGENTS) {
      const peer = await local.open(name, "agent", ["echo", "steps", "hold", "fail"], {
        use: { initiator: false, intake: false },
      });
      peers.push(peer);
      peer.peer.host(mesh.#agent(name, cost, durationMs));
    }
    await mesh.#settled();
    return mesh;
  }

  async stop(): Promise<void> {
    await Promise.all(this.peers.map((peer) => peer.close(0)));
    await this.local.stop();
    await this.#remove();
  }

  #agent(name: string, cost: number, durationMs: number): AgentDefinition {
    return {
      name: "w",
      slots: 2,
      attributes: { region: name === "alice" ? "us" : "eu", memory: 16 },
      services: [
        {
          capability: {
            name: "echo",
            version: "1.2.0",
            cost,
            durationMs,
            input: { type: "object" },
            description: "gives back what it gets",
          },
          // Always the same claim, whatever the work has taken so far.
          bid: (_call, usual) => ({ ...usual, durationMs }),
          run: async (r) => ({ output: { got: r.input, by: name } }),
        },
        {
          capability: { name: "steps", version: "1.0.0", cost },
          run: async (r) => {
            r.progress({ done: 0.5, note: "half way", partial: { n: 1 } });
            return { output: "done" };
          },
        },
        {
          capability: { name: "hold", version: "1.0.0", cost },
          run: (r) =>
            new Promise((resolve, reject) => {
              r.signal.addEventListener("abort", () => reject(r.signal.reason));
              this.#held.resolve({
                end: () => resolve({ output: "released" }),
                signal: r.signal,
              });
            }),
        },
        {
          capability: { name: "fail", version: "1.0.0", cost },
          run: () => Promise.reject(new Error("the disk is full")),
        },
      ],
    };
  }

  /** Until the steward has seen both cards. */
  async #settled(): Promise<void> {
    const { registry } = (this.peers[0] as OpenPeer).peer;
    if (registry.find("echo").length === AGENTS.length) return;
    await new Promise<void>((resolve) => {
      const stop = registry.onChange(() => {
        if (registry.find("echo").length < AGENTS.length) return;
        stop();
        resolve();
      });
    });
  }

  /** The next handler of `hold` that starts, or the one that has. */
  async holding(): Promise<Held> {
    const held = await this.#held.promise;
    this.#held = Promise.withResolvers();
    return held;
  }

  get env(): Record<string, string> {
    return { PARLEY_HOME: `${this.dir}/.parley`, NATS_URL: this.local.server.url };
  }

  run(args: string[], extra = {}, input?: string): Promise<Ended> {
    return parley(args, this.dir, { ...this.env, ...extra }, input);
  }

  begin(args: string[]): Program {
    return startParley(args, this.dir, this.env);
  }

  /** What the command prints with --json; it must succeed. */
  async json(args: string[]) {
    const { code, out, err } = await this.run([...args, "--json"]);
    expect([code, err]).toEqual([0, expect.any(String)]);
    return JSON.parse(out);
  }

  /** Submits and waits for the outcome, whatever it is; gives the task's id. */
  async finished(args: string[]): Promise<string> {
    const { out } = await this.run(["submit", ...args, "--wait", "--json"]);
    return JSON.parse(out).task;
  }

  /** A peer that takes no part by itself, with credentials of its own that are kept. */
  async bystander(name: string, role: Role) {
    const { credsPath } = await addIdentity(this.local.home, { name, role });
    const credentials = credentialsOf(parseCreds(await readFile(credsPath)), this.local.home);
    const opened = await openPeer({
      ...credentials,
      servers: this.local.server.url,
      name,
      principal: name,
      agent: "main",
      role,
      use: { contractor: false, initiator: false, intake: false },
    });
    this.peers.push(opened);
    return { peer: opened.peer, signer: credentials.signer };
  }
}
