// The product under load: host peers with all agents, one submitter peer, real credentials.
import type { OpenPeer } from "../mesh/index.ts";
import { openPeer } from "../mesh/index.ts";
import { credentialsOf } from "../mesh/local.ts";
import { agentNames, type HostOrder, INPUT, type Shape } from "./shape.ts";

export interface Side {
  counts(): { sent: number; bids: number };
  close(): Promise<void>;
}

export interface Client extends Side {
  one(): Promise<void>;
}

type Access = Pick<HostOrder, "url" | "jwt" | "seed" | "trust" | "shape">;

function open(o: Access, name: string, use: object): Promise<OpenPeer> {
  const identity = credentialsOf({ jwt: o.jwt, seed: o.seed }, { trust: o.trust });
  const { signer: _signer, trust: _trust, ...unsigned } = identity;
  return openPeer({
    ...(o.shape.signing ? identity : unsigned),
    servers: o.url,
    name,
    principal: name,
    agent: "main",
    role: "agent",
    use,
  });
}

function side(p: OpenPeer): Side {
  return {
    counts: () => ({ sent: p.transport.sent, bids: p.peer.counters.get("bids") }),
    async close() {
      if (process.env.PARLEY_BENCH_COUNTERS) console.error(p.peer.counters.snapshot());
      await p.close();
    },
  };
}

export async function productHost(o: HostOrder): Promise<Side> {
  const host = await open(o, `host-${o.host}`, {
    submitter: false,
    intake: false,
    initiator: o.shape.mode === "durable",
  });
  for (const name of agentNames(o.shape, o.host)) {
    host.peer.host({
      name,
      slots: 1,
      services: [
        {
          capability: { name: "echo", version: "1.0.0" },
          run: async (run) => ({ output: { length: (run.spec.input as typeof INPUT).words } }),
        },
      ],
    });
  }
  await host.transport.flush();
  if (o.shape.mode === "durable") await everybody(host, o.shape);
  return side(host);
}

export async function productClient(o: Access): Promise<Client> {
  const live = o.shape.mode === "live";
  const client = await open(o, "client", { contractor: false, initiator: live, intake: false });
  if (live) await everybody(client, o.shape);
  const options = { hints: { durationMs: o.shape.bids === 2 ? 1 : 1_000 }, timeoutMs: 120_000 };
  const desk = client.peer.submitters;
  return {
    ...side(client),
    async one() {
      const task = live
        ? await desk.call("echo", INPUT, options)
        : await desk.submit("echo", INPUT, options);
      await task.result();
    },
  };
}

/** Resolves once this peer has seen the cards of all agents. */
function everybody(p: OpenPeer, shape: Shape): Promise<void> {
  const all = () => p.peer.registry.field("echo", undefined).offering >= shape.agents;
  return new Promise((resolve, reject) => {
    if (all()) return resolve();
    const timer = setTimeout(() => reject(new Error("not all agents came within 60 s")), 60_000);
    const stop = p.peer.registry.onChange(() => {
      if (!all()) return;
      clearTimeout(timer);
      stop();
      resolve();
    });
  });
}
