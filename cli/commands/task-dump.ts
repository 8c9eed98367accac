// `parley task dump`: every record that the mesh keeps, a line each, for audits and for replays.
import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { type Command, Option } from "commander";
import { Notary } from "../../check/dump-file.ts";
import { ParleyError } from "../../contracts/failure.ts";
import type { Inspector } from "../../mesh/inspector.ts";
import { usage } from "../lib/errors.ts";
import { withExamples } from "../lib/examples.ts";
import { duration } from "../lib/parse.ts";
import { type Session, session, withInspector } from "../lib/session.ts";

type Where = "audit" | "tasks";

interface Options {
  since?: number;
  from?: Where;
}

/** Records between two words of progress. */
const NOTE_EVERY = 100_000;

export function registerTaskDump(task: Command): void {
  withExamples(
    task
      .command("dump <file>")
      .description("every record that is kept, as lines of JSON; - for standard output")
      .option("--since <length>", "only the last hour, day, …: 1h, 7d", duration)
      .addOption(
        new Option(
          "--from <where>",
          "audit: thirty days; tasks: unfinished ones and the last hour, with the revision that " +
            "each write was fenced by (default: audit where it is kept)",
        ).choices(["audit", "tasks"]),
      )
      .action((file: string, _options: Options, command: Command) => dump(command, file)),
    "parley task dump day.ndjson --since 24h && parley sim replay day.ndjson --policy cheapest",
    "parley task dump - --since 1h | jq -r 'select(.kind==\"outcome\").state' | sort | uniq -c",
  );
}

async function dump(command: Command, path: string): Promise<void> {
  const s = session<Options>(command);
  const toPipe = path === "-";
  if (toPipe && s.out.json) throw usage("standard output holds the lines: --json needs a file");
  const { records, from } = await withInspector(s, "read", async (mesh) => {
    const where = s.options.from ?? ((await keepsAudit(mesh)) ? "audit" : "tasks");
    return { records: await write(s, mesh, path, where), from: where };
  });
  if (s.out.json) return s.out.document({ file: path, records, from });
  s.out.note(`${records} records from ${from}${toPipe ? "" : ` in ${path}`}`);
}

async function keepsAudit(mesh: Inspector): Promise<boolean> {
  try {
    for await (const _first of mesh.records({ audit: true, pageRecords: 1 })) break;
    return true;
  } catch (error) {
    if (error instanceof ParleyError && error.code === "E_STORE") return false;
    throw error;
  }
}

async function write(
  s: Session<Options>,
  mesh: Inspector,
  path: string,
  from: Where,
): Promise<number> {
  const { since } = s.options;
  const notary = new Notary(undefined);
  let count = 0;
  async function* lines(): AsyncGenerator<string> {
    const start = since === undefined ? {} : { fromMs: Date.now() - since };
    for await (const record of mesh.records({ audit: from === "audit", ...start })) {
      s.signal.throwIfAborted();
      if (++count % NOTE_EVERY === 0) s.out.note(`${count} records`);
      yield `${JSON.stringify(notary.line(record))}\n`;
    }
  }
  if (path === "-") await pipeline(lines, process.stdout, { end: false });
  else await pipeline(lines, createWriteStream(path));
  return count;
}
