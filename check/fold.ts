// What the records of a task amount to: the judge's own reading, apart from the mesh's, so that a
// fault there does not hide itself here. Records that prove nothing are set aside.
import type { DumpLine } from "./dump-file.ts";

export interface Contract {
  record: DumpLine;
  e: number;
  contractor: string;
}

export interface Fold {
  spec: DumpLine | undefined;
  contracts: Contract[];
  /** Outcomes that count: completed ones of the contractor in charge, other ends of anybody. */
  outcomes: DumpLine[];
  /** Results that do not count although their author may have thought so. */
  void: { record: DumpLine; why: string }[];
  /** Records after the first outcome. */
  after: DumpLine[];
  cancel: DumpLine | undefined;
  /** Contracts that another principal's void record cut off: they are no attempts. */
  spoiled: number;
}

export function fold(records: readonly DumpLine[]): Fold {
  const f: Fold = {
    spec: undefined,
    contracts: [],
    outcomes: [],
    void: [],
    after: [],
    cancel: undefined,
    spoiled: 0,
  };
  let before = 0;
  let open: Contract | undefined;
  /** Did a record that is void move the revision, so that the open contract cannot be kept? */
  let fenced = false;
  let spoiled = false;
  for (const r of records) {
    if (f.outcomes.length > 0) f.after.push(r);
    const why = r.flaw ?? whyVoid(f, r, open, fenced, before);
    if (why !== undefined) f.void.push({ record: r, why });
    if (why !== undefined || (r.kind === "cancel" && !mayCancel(f, r))) {
      if (r.kind === "cancel") f.cancel = r;
      if (!fenced) spoiled = open !== undefined && ownerOf(open.contractor) !== ownerOf(r.from);
      fenced = true;
    } else if (r.kind === "spec") f.spec ??= r;
    else if (r.kind === "contract") {
      if (open !== undefined && spoiled) f.spoiled++;
      open = { record: r, e: r.e ?? 0, contractor: r.from };
      f.contracts.push(open);
      fenced = false;
      spoiled = false;
    } else if (r.kind === "failure") open = undefined;
    else if (r.kind === "cancel") {
      f.cancel = r;
      open = undefined;
    } else if (r.kind === "outcome") f.outcomes.push(r);
    before = r.rev;
  }
  return f;
}

/** The submitter, and the owner. */
function mayCancel({ spec }: Fold, { from, task }: DumpLine): boolean {
  return from === spec?.from || ownerOf(from) === ownerOf(task);
}

/** Whose agent it is. */
function ownerOf(agent: string): string | undefined {
  return agent.split(".")[0];
}

function whyVoid(
  f: Fold,
  r: DumpLine,
  open: Contract | undefined,
  fenced: boolean,
  before: number,
): string | undefined {
  if (r.kind === "contract") {
    const { award } = r;
    if (award === undefined) return "no award";
    if (award.flaw !== undefined) return `award: ${award.flaw}`;
    if (award.to !== r.from) return "the award is for somebody else";
    if (award.rev !== before) return "the award names another revision";
    return undefined;
  }
  if (
    r.kind === "failure" ||
    r.kind === "checkpoint" ||
    (r.kind === "outcome" && r.state === "completed")
  ) {
    if (open === undefined) return "no contract was open";
    if (open.contractor !== r.from) return `the contract was ${open.contractor}'s`;
    if (fenced) return "a void record stands between it and its contract";
    if (open.e !== r.e) return `epoch ${r.e} under the contract of epoch ${open.e}`;
  }
  if (r.kind === "spec" && f.spec !== undefined) return "a second spec";
  return undefined;
}
