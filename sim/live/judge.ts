// The judge: what became of every task, from the records that the server keeps and from nothing
// that a peer says of itself. Only the moments of executions come from the hosts.
import type { RecordKey } from "../../contracts/index.ts";
import type { StoredRecord } from "../../mesh/ports/index.ts";
import type { ExecutionRow, TaskRow } from "../report-types.ts";
import type { Execution } from "./messages.ts";
import type { Submission } from "./submissions.ts";

interface Outcome {
  readonly state: string;
  readonly worker: string;
  readonly epoch: number;
  readonly storedMs: number;
  readonly startMs: number | undefined;
  readonly endMs: number | undefined;
}

interface Life {
  specMs?: number;
  contractMs?: number;
  contractRev: number;
  contractor?: string;
  /** The first, and those that should not be. */
  outcome?: Outcome;
  more?: Outcome[];
}

export interface Verdict {
  readonly tasks: readonly TaskRow[];
  readonly executions: readonly ExecutionRow[];
  /** Contracts beyond the first of their task: somebody died, failed or was replaced. */
  readonly secondContracts: number;
}

/** Records may come in any order; those of other owners or unknown tasks count for nothing. */
export class Judge {
  readonly #owner: string;
  #lives = new Map<string, Life>();
  #contracts = 0;
  /** One text for each author, however many records it writes. */
  #authors = new Map<string, string>();

  constructor(owner: string) {
    this.#owner = owner;
  }

  see(record: StoredRecord): void {
    const { key, storedAt, rev } = record;
    if (key.owner !== this.#owner) return;
    let life = this.#lives.get(key.task);
    if (life === undefined) {
      life = { contractRev: 0 };
      this.#lives.set(key.task, life);
    }
    if (key.kind === "spec") life.specMs = storedAt;
    else if (key.kind === "contract") {
      this.#contracts++;
      life.contractMs = Math.min(life.contractMs ?? storedAt, storedAt);
      if (rev > life.contractRev) {
        life.contractRev = rev;
        life.contractor = this.#author(key);
      }
    } else if (key.kind === "outcome") {
      const outcome = outcomeOf(record, this.#author(key));
      if (life.outcome === undefined) life.outcome = outcome;
      else life.more = [...(life.more ?? []), outcome];
    }
  }

  #author({ fromPrincipal, fromAgent }: RecordKey): string {
    const text = `${fromPrincipal}.${fromAgent}`;
    const known = this.#authors.get(text);
    if (known !== undefined) return known;
    this.#authors.set(text, text);
    return text;
  }

  verdict(submitted: readonly Submission[], reported: readonly Execution[]): Verdict {
    const tasks = submitted.map(({ id, submitMs }) => rowOf(id, submitMs, this.#lives.get(id)));
    const known = new Set(submitted.map(({ id }) => id));
    const executions = this.#executions(reported, known);
    const contracted = tasks.filter((task) => task.contractMs !== undefined).length;
    return { tasks, executions, secondContracts: this.#contracts - contracted };
  }

  #executions(reported: readonly Execution[], known: ReadonlySet<string>): ExecutionRow[] {
    // What is stored but was not reported: the host died before it could.
    const unreported = new Map<string, ExecutionRow>();
    for (const [task, life] of this.#lives) {
      for (const { state, worker, epoch, startMs, endMs } of outcomesOf(life)) {
        if (state !== "completed" || startMs === undefined || endMs === undefined) continue;
        const row: ExecutionRow = { task, worker, startMs, endMs, completed: true };
        if (known.has(task)) unreported.set(`${task} ${worker} ${epoch}`, row);
      }
    }
    const rows: ExecutionRow[] = [];
    const counted = new Set(unreported.keys());
    for (const { task, worker, epoch, startMs, endMs, finished } of reported) {
      if (!known.has(task)) continue;
      const name = `${task} ${worker} ${epoch}`;
      unreported.delete(name);
      rows.push({ task, worker, startMs, endMs, completed: finished && counted.has(name) });
    }
    return [...rows, ...unreported.values()];
  }
}

function rowOf(id: string, submitMs: number, life: Life | undefined): TaskRow {
  const { outcome } = life ?? {};
  return {
    id,
    submitMs,
    specMs: life?.specMs,
    contractMs: life?.contractMs,
    outcomeMs: outcome?.storedMs,
    state: outcome?.state ?? (life?.contractMs === undefined ? "submitted" : "running"),
    contractor: life?.contractor,
    outcomes: life === undefined ? 0 : outcomesOf(life).length,
  };
}

function outcomesOf({ outcome, more = [] }: Life): Outcome[] {
  return outcome === undefined ? [] : [outcome, ...more];
}

/** Judged by what is stored even if it were no sound record: then its state is its own word. */
function outcomeOf({ key, storedAt, body }: StoredRecord, worker: string): Outcome {
  let said: Record<string, unknown> = {};
  try {
    said = JSON.parse(new TextDecoder().decode(body)) as Record<string, unknown>;
  } catch {
    // Falls through to the state "unreadable", which is no terminal one.
  }
  const time = (value: unknown) => (typeof value === "number" ? value : undefined);
  return {
    state: typeof said.state === "string" ? said.state : "unreadable",
    worker,
    epoch: Number(key.n),
    storedMs: storedAt,
    startMs: time(said.startedAt),
    endMs: time(said.endedAt),
  };
}
