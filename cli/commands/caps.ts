// `parley caps`: what the agents offer, and how often they had to refuse.
import type { Command } from "commander";
import { address } from "../../contracts/ids.ts";
import type { ServiceStats } from "../../mesh/inspector.ts";
import { withExamples } from "../lib/examples.ts";
import { session, withInspector } from "../lib/session.ts";

interface CapabilityRow {
  capability: string;
  versions: string[];
  agents: string[];
  /** Tasks at a time, over all its agents. */
  slots: number;
  busy: number;
  calls: number;
  bids: number;
  /** Calls and awards that were refused, by reason: `busy` is the sign to add agents. */
  refusals: Record<string, number>;
  contracts: number;
  failures: number;
}

export function registerCaps(parley: Command): void {
  withExamples(
    parley
      .command("caps")
      .description("capabilities on offer: agents, versions, bids and refusals")
      .action(async (_options: object, command: Command) => caps(command)),
    "parley caps",
    "parley describe summarize        # what one of them takes and gives",
    "parley caps --json | jq '.[] | select(.refusals.busy > .bids)'   # where agents are short",
  );
}

async function caps(command: Command): Promise<void> {
  const s = session(command);
  await withInspector(s, "read", async (mesh) => {
    const rows = new Map<string, CapabilityRow>();
    for (const card of await mesh.readCards()) {
      for (const c of card.capabilities) {
        const row = rowOf(rows, c.name);
        if (!row.versions.includes(c.version)) row.versions.push(c.version);
        row.agents.push(address(card.principal, card.agent));
        row.slots += Math.min(card.slots, c.slots ?? card.slots);
      }
    }
    for (const stats of rows.size === 0 ? [] : await mesh.stats()) count(rows, stats);
    for (const row of rows.values()) row.agents.sort();
    const found = [...rows.values()].sort((a, b) => (a.capability < b.capability ? -1 : 1));
    if (s.out.json) return s.out.document(found);
    if (found.length === 0) return s.out.note("no agent offers anything here");
    s.out.table(
      [
        "CAPABILITY",
        "VERSIONS",
        "AGENTS",
        "SLOTS",
        "BUSY",
        "CALLS",
        "BIDS",
        "CONTRACTS",
        "FAILURES",
        "REFUSALS",
      ],
      found.map((r) =>
        [
          r.capability,
          r.versions.sort().join(","),
          r.agents.length,
          r.slots,
          r.busy,
          r.calls,
          r.bids,
          r.contracts,
          r.failures,
          refusalsText(r.refusals),
        ].map(String),
      ),
    );
  });
}

function rowOf(rows: Map<string, CapabilityRow>, capability: string): CapabilityRow {
  const held = rows.get(capability);
  if (held !== undefined) return held;
  const fresh: CapabilityRow = {
    capability,
    versions: [],
    agents: [],
    slots: 0,
    busy: 0,
    calls: 0,
    bids: 0,
    refusals: {},
    contracts: 0,
    failures: 0,
  };
  rows.set(capability, fresh);
  return fresh;
}

function count(rows: Map<string, CapabilityRow>, stats: ServiceStats): void {
  for (const endpoint of stats.endpoints) {
    const row = rows.get(String(endpoint.name));
    if (row === undefined) continue;
    const data = (endpoint.data ?? {}) as Record<string, unknown>;
    row.busy += numberIn(data.busy);
    row.calls += numberIn(data.calls);
    row.bids += numberIn(data.bids);
    for (const [reason, n] of Object.entries(data.refusals ?? {})) {
      row.refusals[reason] = (row.refusals[reason] ?? 0) + numberIn(n);
    }
    row.contracts += numberIn(endpoint.num_requests);
    row.failures += numberIn(endpoint.num_errors);
  }
}

function refusalsText(refusals: Record<string, number>): string {
  return (
    Object.entries(refusals)
      .map(([reason, n]) => `${reason}=${n}`)
      .join(" ") || "0"
  );
}

function numberIn(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}
