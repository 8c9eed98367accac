// F15: a client that does not read what it subscribed to. The server ends that one connection,
// the others go on as before; an initiator whose loop was blocked comes back with a whole view.

import type { Role } from "../../contracts/index.ts";
import { connectNats } from "../../mesh/nats/connect.ts";
import { credsAuth } from "../../mesh/nats/identity/authenticator.ts";
import { Load } from "../harness/load.ts";
import type { World } from "../harness/world.ts";
import { startProxy } from "../proxy/index.ts";
import type { Bar, ChaosContext, Scenario } from "../scenario.ts";
import { pause, quantile, viewsWhole } from "./links.ts";

/** More than the 64 MiB that the server keeps for one client, in messages of so many bytes. */
const MESSAGE_BYTES = 100_000;
const MESSAGES = 1_500;
const NOTICED_MS_MAX = 20_000;
const VIEW_MS_MAX = 3_000;
const BLOCKED_MS = 5_000;

async function join(world: World, name: string, role: Role, servers: string) {
  const creds = await world.mesh.mint(name, role);
  return connectNats({ servers, name, principal: name, authenticator: credsAuth(creds) });
}

async function slowConsumers(world: World): Promise<number> {
  const answer = await fetch(`${world.mesh.server.monitorUrl}/varz`);
  return ((await answer.json()) as { slow_consumers: number }).slow_consumers;
}

/** Floods a client that reads nothing; resolves with the time until the server ended it, ms. */
async function starve(c: ChaosContext, world: World): Promise<number> {
  const { url } = world.mesh.server;
  const proxy = await startProxy({ to: url, seed: c.seed });
  const slow = await join(world, "slow", "contractor", proxy.url);
  const flood = await join(world, "flood", "contractor", url);
  try {
    slow.subscribe("mesh.msg.slow.>", { callback: () => undefined });
    await slow.flush();
    const before = await slowConsumers(world);
    world.faults.planned++;
    world.nemesis.note({ k: "inv", op: "slow-consumer", target: "slow" });
    await proxy.set({ cut: "down" });
    const begun = performance.now();
    const data = new Uint8Array(MESSAGE_BYTES);
    for (let i = 0; i < MESSAGES; i++) {
      flood.publish("mesh.msg.slow.main.flood.main", data);
      if (i % 20 === 0) await flood.flush();
    }
    while ((await slowConsumers(world)) === before) {
      if (performance.now() - begun > NOTICED_MS_MAX) return Number.POSITIVE_INFINITY;
      await pause(50);
    }
    world.faults.seen++;
    return performance.now() - begun;
  } finally {
    await proxy.heal();
    await Promise.all([slow.close(), flood.close()]);
    await proxy.close();
  }
}

async function run(c: ChaosContext): Promise<Bar[]> {
  const world = await c.world({ contractors: 4, agents: 40 });
  const load = new Load(world, { concurrency: 40, input: () => ({ ms: 20 + c.prng.int(60) }) });
  const all = load.run();
  await load.reach(load.done + 200);
  const from = load.ends.length;
  await load.reach(load.done + 500);
  const usual = load.ends.slice(from).map((e) => e.tookMs);
  const during = load.ends.length;
  const noticedMs = await starve(c, world);
  await load.reach(during + 100);
  const then = load.ends.slice(during).map((e) => e.tookMs);
  const [blocked] = world.initiators;
  if (blocked === undefined) throw new Error("no initiator to block");
  world.faults.planned++;
  world.nemesis.note({ k: "inv", op: "block", target: blocked.plan.name });
  // Once: the next one would be an hour later.
  blocked.stall(BLOCKED_MS, 1_000);
  await pause(1_100);
  blocked.stall(0, 0);
  await blocked.tally();
  world.faults.seen++;
  const viewMs = await viewsWhole(world, 40, 4 * VIEW_MS_MAX);
  await load.reach(load.done + 100);
  load.stop();
  await all;
  const before99 = Math.round(quantile(usual, 0.99));
  const then99 = Math.round(quantile(then, 0.99));
  return [
    {
      id: "F15",
      text: "the server ends the connection that does not read, and no task is lost by it",
      figure: `${Math.round(noticedMs)} ms; ${load.accepted - load.done} of ${load.accepted} lost`,
      met: Number.isFinite(noticedMs) && load.accepted === load.done,
    },
    {
      id: "F15-others",
      text: "p99 of the others' tasks at most doubles while it happens",
      figure: `${before99} ms before, ${then99} ms during (${then.length} tasks)`,
      met: then.length > 0 && then99 <= 2 * before99,
    },
    {
      id: "F15-view",
      text: `an initiator blocked for ${BLOCKED_MS} ms has a whole view within ${VIEW_MS_MAX} ms`,
      figure: `${Math.round(viewMs)} ms`,
      met: viewMs <= VIEW_MS_MAX,
    },
  ];
}

export const scenario: Scenario = {
  name: "slow-consumer",
  about: "a client that reads nothing, and an initiator whose event loop is blocked for 5 s",
  bars: ["F15"],
  run,
};
