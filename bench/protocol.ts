// What a decision costs in messages, played in a simulated world: no machine in it, so the figures
// are the same everywhere, and those of the last commit (protocol.json) can be held against them.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runVirtual } from "../sim/virtual/run.ts";

export interface ProtocolRow {
  name: string;
  decisions: number;
  messages: number;
  bids: number;
  declines: number;
  /** Calls for proposals. */
  rounds: number;
  awards: number;
  decisionMs: number;
}

const FILE = join(import.meta.dirname, "protocol.json");

/** Calm and crowded, small and large, and one in which everything goes wrong. */
const SETTINGS = [
  { name: "20 agents", agents: 20, tasks: 400 },
  { name: "200 agents", agents: 200, tasks: 2_000 },
  { name: "1000 agents", agents: 1_000, tasks: 4_000 },
  { name: "200 agents, crowded", agents: 200, tasks: 2_000, utilisation: 1.2 },
  { name: "200 agents, faults", agents: 200, tasks: 2_000, faults: "mix" as const },
];

export async function measureProtocol(): Promise<ProtocolRow[]> {
  const rows: ProtocolRow[] = [];
  for (const { name, ...setting } of SETTINGS) {
    const run = await runVirtual({ seed: "protocol", timeScale: 0.2, baselineRuns: 0, ...setting });
    const { tasks, refusals, messagesPerDecision, bidsPerDecision, decisionMs } = run.report;
    const { counters } = run;
    const calls = Object.entries(counters)
      .filter(([counter]) => counter.startsWith("calls."))
      .reduce((sum, [, n]) => sum + n, 0);
    const per = (n: number) => Number((n / tasks.completed).toFixed(2));
    rows.push({
      name,
      decisions: tasks.completed,
      messages: Number(messagesPerDecision.toFixed(2)),
      bids: Number(bidsPerDecision.toFixed(2)),
      declines: per(Object.values(refusals).reduce((a, b) => a + b, 0)),
      rounds: per(calls),
      awards: per(counters.awards ?? 0),
      decisionMs: Number(decisionMs.p50.toFixed(2)),
    });
  }
  return rows;
}

export function lastProtocol(): ProtocolRow[] {
  return JSON.parse(readFileSync(FILE, "utf8")) as ProtocolRow[];
}

export function keepProtocol(rows: readonly ProtocolRow[]): void {
  writeFileSync(FILE, `${JSON.stringify(rows, null, 2)}\n`);
}

const COLUMNS = ["messages", "bids", "declines", "rounds", "awards", "decisionMs"] as const;

/** Each figure, and in brackets what it was where it differs. */
export function protocolTable(rows: readonly ProtocolRow[], last: readonly ProtocolRow[]): string {
  const before = new Map(last.map((row) => [row.name, row]));
  const lines = rows.map((row) => {
    const cells = COLUMNS.map((column) => {
      const was = before.get(row.name)?.[column];
      const now = row[column].toFixed(2);
      return was === undefined || was === row[column] ? now : `${now} (${was.toFixed(2)})`;
    });
    return `${row.name.padEnd(22)}${cells.map((c) => c.padStart(16)).join("")}`;
  });
  const head = `${"per decision".padEnd(22)}${COLUMNS.map((c) => c.padStart(16)).join("")}`;
  return [head, ...lines].join("\n");
}
