// `parley doctor`: is everything as the mesh needs it, and if not, what to do.
import type { Command } from "commander";
import { examine } from "../lib/doctor.ts";
import type { Check } from "../lib/durability.ts";
import { asCliError, CliError, EXIT } from "../lib/errors.ts";
import { withExamples } from "../lib/examples.ts";
import { paint } from "../lib/output.ts";
import { type Session, session, withInspector } from "../lib/session.ts";

export function registerDoctor(parley: Command): void {
  withExamples(
    parley
      .command("doctor")
      .description("check server, streams, durability, permissions, clocks; each with the fix")
      .action((_options: object, command: Command) => doctor(command)),
    "parley doctor",
    "parley doctor --server nats://host:4222 --creds admin.creds",
    `parley doctor --json | jq '.[] | select(.verdict != "ok")'`,
  );
}

async function doctor(command: Command): Promise<void> {
  const s = session(command);
  let checks: Check[];
  try {
    checks = await withInspector(s, "admin", (mesh, target) => examine(mesh, target));
  } catch (error) {
    const { code, message, next } = asCliError(error);
    show(s, [{ check: "server", verdict: "fail", text: message, ...(next ? { fix: next } : {}) }]);
    throw new CliError(code, message, { exit: EXIT.noConnection, cause: error });
  }
  show(s, checks);
  const failed = checks.filter((c) => c.verdict === "fail");
  if (failed.length > 0) {
    throw new CliError(
      "E_CHECK",
      `${failed.length} of ${checks.length} checks failed: ` +
        failed.map((c) => c.check).join(", "),
      { next: failed[0]?.fix ?? "see above" },
    );
  }
}

const MARKS = { ok: "ok", warn: "warn", fail: "FAIL" } as const;
const STYLES = { ok: "green", warn: "yellow", fail: "red" } as const;

function show(s: Session<object>, checks: readonly Check[]): void {
  if (s.out.json) return s.out.document(checks);
  const width = Math.max(...checks.map((c) => c.check.length));
  for (const c of checks) {
    s.out.text(
      `${paint(STYLES[c.verdict], MARKS[c.verdict].padEnd(4))}  ` +
        `${c.check.padEnd(width)}  ${c.text}`,
    );
    if (c.fix !== undefined) s.out.text(`${" ".repeat(width + 8)}fix: ${c.fix}`);
  }
}
