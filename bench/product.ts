// The product under load: one host peer with all agents, one submitter peer, real credentials.
import type { LocalMesh } from "../mesh/local.ts";
import type { OpenPeer } from "../mesh/index.ts";
import { INPUT, pump, type Shape } from "./shape.ts";

export interface Loaded {
  run(n: number, inFlight: number): Promise<number[]>;
  /** Messages sent and bids received so far, by all peers. */
  counts(): { sent: number; bids: number };
  close(): Promise<void>;
}

export async function loadProduct(mesh: LocalMesh, shape: Shape): Promise<Loaded> {
  const unsigned = shape.signing ? {} : { signer: undefined, trust: undefined };
  const open = (name: string): Promise<OpenPeer> =>
    mesh.open(name, "agent", ["echo"], unsigned as object);
  const host = await open("host");
  const client = await mesh.open("client", "agent", ["echo"], {
    ...(unsigned as object),
    use: { contractor: false, initiator: shape.mode === "live", intake: false },
  });
  for (let i = 0; i < shape.agents; i++) {
    host.peer.host({
      name: `a${i}`, slots: 1,
      services: [{
        capability: { name: "echo", version: "1.0.0" },
        run: async (run) => ({ output: { length: (run.spec.input as typeof INPUT).words } }),
      }],
    });
  }
  await host.transport.flush();
  await until(() => host.peer.registry.field("echo", undefined).offering === shape.agents);
  if (shape.mode === "live") {
    await until(() => client.peer.registry.field("echo", undefined).offering === shape.agents);
  }
  const options = { hints: { durationMs: shape.bids === 2 ? 1 : 1_000 }, timeoutMs: 120_000 };
  const desk = client.peer.submitters;
  const one = async (): Promise<void> => {
    const task = shape.mode === "durable"
      ? await desk.submit("echo", INPUT, options)
      : await desk.call("echo", INPUT, options);
    await task.result();
  };
  return {
    run: (n, inFlight) => pump(n, inFlight, one),
    counts: () => ({
      sent: host.transport.sent + client.transport.sent,
      bids: host.peer.counters.get("bids") + client.peer.counters.get("bids"),
    }),
    async close() {
      if (process.env.PARLEY_BENCH_COUNTERS) {
        console.error(host.peer.counters.snapshot(), client.peer.counters.snapshot());
      }
      await client.close();
      await host.close();
    },
  };
}

async function until(condition: () => boolean): Promise<void> {
  const limit = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > limit) throw new Error("the agents did not all show up in 20 s");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
