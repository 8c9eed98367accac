// What a mesh wants to have somewhere, beside its agents: doors for the nats program, an initiator,
// and the janitor. Any number of them may run.
import { randomBytes } from "node:crypto";
import type { Home } from "../../mesh/nats/identity/home.ts";
import type { Output } from "./output.ts";
import { logTo } from "./session.ts";
import { STANDING, standingCreds } from "./standing.ts";
import type { Target } from "./target.ts";

/** Where it connects, and the folder with its credentials or the keys to make them. */
export interface Place extends Pick<Target, "tls"> {
  home: Pick<Home, "dir" | "trust">;
  servers: string[];
}

export interface Steward {
  /** The version of the server that it is connected to. */
  version: string;
  /** When a server refuses it for good, and nobody will connect it again. */
  closed: Promise<unknown>;
  stop(): Promise<void>;
}

/** The doors for the nats program, an initiator for the tasks, and the janitor. */
export async function startSteward(out: Output, place: Place): Promise<Steward> {
  const [{ openPeer }, { credentialsOf }, { Inspector }, { Janitor }, { systemClock }] =
    await Promise.all([
      import("../../mesh/index.ts"),
      import("../../mesh/local.ts"),
      import("../../mesh/inspector.ts"),
      import("../../mesh/nats/janitor.ts"),
      import("../../mesh/nats/system.ts"),
    ]);
  const { steward, janitor } = STANDING;
  const { home, servers } = place;
  const to = { servers, ...(place.tls === undefined ? {} : { tls: place.tls }) };
  const log = logTo(out);
  const peer = await openPeer({
    ...credentialsOf(await standingCreds(home.dir, steward), home),
    ...to,
    log,
    name: "parley steward",
    principal: steward.name,
    // Another one may run on another machine, as the same principal.
    agent: `main-${randomBytes(3).toString("hex")}`,
    role: steward.role,
    use: { contractor: false },
  });
  const reader = await Inspector.open({
    ...credentialsOf(await standingCreds(home.dir, janitor), home),
    ...to,
    name: "parley janitor",
    principal: janitor.name,
    role: janitor.role,
  });
  const sweeper = new Janitor(
    reader.transport,
    systemClock,
    log,
    janitor.name,
    async (owner, task, rev) =>
      (await reader.tasks(task)).some(
        (file) =>
          file.owner === owner && file.view.outcome !== undefined && file.view.outcomeRev === rev,
      ),
  );
  sweeper.start();
  const { connection } = peer.transport;
  return {
    version: connection.info?.version ?? "?",
    closed: Promise.race([connection.closed(), reader.transport.connection.closed()]),
    async stop() {
      sweeper.stop();
      await peer.close(1_000).catch(() => undefined);
      await reader.close().catch(() => undefined);
    },
  };
}
