// A mesh for the tests of the protocol's clauses: peers and clients live as long as the test that
// opened them.
import { onTestFinished, vi } from "vitest";
import type { OpenPeer } from "../../mesh/index.ts";
import { counted, until, useWire, type Wire } from "../wire/fixture.ts";

export interface Clauses extends Wire {
  /** Sum of the counters of all peers of this test whose names begin so. */
  counted(prefix: string): number;
  /** Waits until every peer that initiates knows this many agents with the capability. */
  known(capability: string, agents: number): Promise<void>;
}

export function useClauses(): Clauses {
  // Nothing here is slow by itself; the machine may be busy with every other test.
  vi.setConfig({ testTimeout: 30_000 });
  const wire = useWire();
  const open = wire.peer;
  const join = wire.stranger;
  let peers: OpenPeer[] = [];
  return Object.assign(wire, {
    async peer(...args: Parameters<Wire["peer"]>) {
      const peer = await open(...args);
      peers.push(peer);
      onTestFinished(async () => {
        peers = peers.filter((p) => p !== peer);
        await peer.close(0);
      });
      return peer;
    },
    async stranger(...args: Parameters<Wire["stranger"]>) {
      const stranger = await join(...args);
      // The administrator is the fixture's own. Others go with their test: a tap that stays open
      // would hide from later tests that nobody is there.
      if (args[1] !== "admin") onTestFinished(() => stranger.nc.close());
      return stranger;
    },
    counted: (prefix: string) => peers.reduce((sum, p) => sum + counted(p, prefix), 0),
    async known(capability: string, agents: number) {
      const deciding = peers.filter((p) => p.peer.options.roles.initiator);
      await until(
        () => deciding.every((p) => p.peer.registry.find(capability).length === agents),
        `${agents} agents with ${capability} in the registry`,
      );
    },
  });
}
