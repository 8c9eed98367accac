// `parley task watch`: records as they are stored, of one task or of all.
import type { Command } from "commander";
import type { Contract, FailureRecord, Outcome } from "../../contracts/records.ts";
import type { Spec } from "../../contracts/spec.ts";
import type { Inspector, ProvenRecord } from "../../mesh/inspector.ts";
import { withExamples } from "../lib/examples.ts";
import { orInterrupted } from "../lib/interrupt.ts";
import { timeText } from "../lib/output.ts";
import { token } from "../lib/parse.ts";
import { type Session, session, withInspector } from "../lib/session.ts";
import { findTask, recordShown } from "../lib/task-file.ts";

interface Options {
  owner?: string;
  jsonl?: boolean;
  progress?: boolean;
}

export function registerTaskWatch(task: Command): void {
  withExamples(
    task
      .command("watch [id]")
      .description("follow one task to its end, or all tasks until Ctrl-C")
      .option("--owner <principal>", "whose, where two owners chose the same id", token("owner"))
      .option("--progress", "also what contractors say on the way")
      .option("--jsonl", "every record as a line of JSON")
      .action((id: string | undefined, _options: Options, command: Command) => watch(command, id)),
    "parley task watch ID --progress",
    "parley task watch --jsonl | jq -c 'select(.kind == \"outcome\")'",
  );
}

/** How far notices of different tasks may come out of order, revisions. Guess. */
const MIXED = 1_000;
/** How often a task that is watched is looked at, ms. */
const LOOK_MS = 5_000;

async function watch(command: Command, id: string | undefined): Promise<void> {
  const s = session<Options>(command);
  if (id !== undefined) token("task")(id);
  await withInspector(s, "read", async (mesh) => {
    if (id !== undefined) return one(s, mesh, id);
    await all(s, mesh);
    s.out.note("watching all tasks; Ctrl-C ends it");
    return orInterrupted(new Promise<never>(() => undefined));
  });
}

/** Whatever is stored from now on, also while the link was away. */
async function all(s: Session<Options>, mesh: Inspector): Promise<void> {
  const begun = mesh.reads ? await mesh.newest() : 0;
  const seen = new Set<number>();
  let newest = begun;
  const tell = (record: ProvenRecord): void => {
    if (seen.has(record.rev) || record.rev <= begun) return;
    seen.add(record.rev);
    newest = Math.max(newest, record.rev);
    for (const rev of seen.size > 2 * MIXED ? [...seen].slice(0, MIXED) : []) seen.delete(rev);
    print(s, record);
  };
  follow(s, mesh, undefined, tell);
  onReturn(s, mesh, async () => {
    if (!mesh.reads) return s.out.note("what was stored meanwhile may be missing here");
    for (const record of await mesh.after(Math.max(begun, newest - MIXED))) tell(record);
  });
}

/** Says when the link goes and comes back, and looks at what it missed. */
function onReturn(s: Session<Options>, mesh: Inspector, look: () => Promise<void>): void {
  mesh.transport.onState((state) => {
    if (state === "down") s.out.note("the server is gone; looking for it again and again");
    if (state !== "up") return;
    s.out.note("the server is there again");
    look().catch((error: Error) =>
      s.out.note(`what came meanwhile is not known: ${error.message}`),
    );
  });
}

async function one(s: Session<Options>, mesh: Inspector, id: string): Promise<void> {
  const end = Promise.withResolvers<void>();
  // First the ears, then the past: nothing falls between them.
  const early: ProvenRecord[] = [];
  let tell = (record: ProvenRecord): void => void early.push(record);
  const watching = follow(s, mesh, id, (record) => tell(record));
  const file = await findTask(mesh, id, s.options.owner);
  const seen = new Set<number>();
  tell = (record) => {
    if (record.key.owner !== file.owner || seen.has(record.rev)) return;
    seen.add(record.rev);
    print(s, record);
    if (record.kind === "outcome") end.resolve();
  };
  for (const record of [...file.records, ...early]) tell(record);
  const look = async (): Promise<void> => {
    const now = (await mesh.tasks(id)).find(({ owner }) => owner === file.owner);
    for (const record of now?.records ?? []) tell(record);
  };
  onReturn(s, mesh, look);
  // Notices may get lost in other ways too.
  const again = setInterval(() => void look().catch(() => undefined), LOOK_MS);
  await orInterrupted(end.promise).finally(() => clearInterval(again));
  watching.stop();
}

function follow(
  s: Session<Options>,
  mesh: Inspector,
  id: string | undefined,
  tell: (record: ProvenRecord) => void,
): { stop(): void } {
  return mesh.watch(id, {
    record: id === undefined ? (record) => print(s, record) : tell,
    ...(s.options.progress !== true
      ? {}
      : {
          message: (from, m) => {
            if (m.kind !== "progress") return;
            const { task, epoch, done, note, partial } = m;
            const shown = { kind: "progress", task, from, epoch, done, note, partial };
            if (asJson(s)) return s.out.line(shown);
            const share = done === undefined ? "" : `${Math.round(done * 100)} % `;
            s.out.text(
              `${timeText(Date.now())}  ${task}  progress  ${from}  ${share}${note ?? ""}` +
                `${partial === undefined ? "" : ` ${JSON.stringify(partial)}`}`,
            );
          },
        }),
  });
}

/** A stream has no end that --json could wait for: both forms give lines. */
function asJson(s: Session<Options>): boolean {
  return s.options.jsonl === true || s.out.json;
}

function print(s: Session<Options>, r: ProvenRecord): void {
  if (asJson(s)) return s.out.line({ task: r.key.task, owner: r.key.owner, ...recordShown(r) });
  s.out.text(
    [timeText(r.storedAt) ?? "-", r.key.task, r.kind.padEnd(8), r.from, words(r)]
      .join("  ")
      .trimEnd(),
  );
}

function words(r: ProvenRecord): string {
  switch (r.kind) {
    case "spec":
      return `wants ${(r.body as Spec).capability}`;
    case "contract": {
      const { epoch, attempt } = r.body as Contract;
      return `took it (epoch ${epoch}, attempt ${attempt})`;
    }
    case "failure": {
      const { failure, leaving } = r.body as FailureRecord;
      return `${leaving === true ? "handed back" : "failed"}: ${failure.message} (${failure.code})`;
    }
    case "outcome": {
      const { state, failure } = r.body as Outcome;
      return state + (failure === undefined ? "" : `: ${failure.message} (${failure.code})`);
    }
    default:
      return "";
  }
}
