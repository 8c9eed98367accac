// `parley describe`: the protocol for other languages, and what a capability takes and gives.
import type { Command } from "commander";
import type { Capability } from "../../contracts/card.ts";
import { address } from "../../contracts/ids.ts";
import { CliError } from "../lib/errors.ts";
import { withExamples } from "../lib/examples.ts";
import { token } from "../lib/parse.ts";
import { protocolSchema, SCHEMAS, SUBJECTS } from "../lib/protocol.ts";
import { type Session, session, withInspector } from "../lib/session.ts";

interface Options {
  jsonSchema?: boolean;
}

export function registerDescribe(parley: Command): void {
  withExamples(
    parley
      .command("describe [capability]")
      .description("the protocol (messages, records, subjects), or one capability")
      .option("--json-schema", "as JSON Schema, draft 2020-12")
      .action((name: string | undefined, _options: Options, command: Command) =>
        describe(command, name),
      ),
    "parley describe",
    "parley describe --json-schema > parley.schema.json",
    "parley describe summarize             # what it takes and gives",
  );
}

async function describe(command: Command, name: string | undefined): Promise<void> {
  const s = session<Options>(command);
  if (name !== undefined) return capability(s, token("capability")(name));
  if (s.options.jsonSchema === true) return s.out.document(protocolSchema());
  if (s.out.json) {
    return s.out.document({
      subjects: SUBJECTS,
      schemas: Object.fromEntries(Object.entries(SCHEMAS).map(([k, v]) => [k, v.text])),
    });
  }
  s.out.text("Subjects: verb, then whom it is for (P: principal, A: agent), then who sends.\n");
  s.out.table(
    ["SUBJECT", "FORM", "WHAT"],
    SUBJECTS.map((x) => [x.subject, x.form, x.text]),
  );
  s.out.text("\nMessages and records (parley describe --json-schema for their shapes):\n");
  s.out.table(
    ["NAME", "FORM", "WHAT"],
    Object.entries(SCHEMAS).map(([key, x]) => [key, x.form, x.text]),
  );
}

async function capability(s: Session<Options>, name: string): Promise<void> {
  await withInspector(s, "read", async (mesh) => {
    await mesh.readCards();
    const offers = mesh.registry.find(name).map((card) => ({
      agent: address(card.principal, card.agent),
      offer: card.capabilities.find((c) => c.name === name) as Capability,
    }));
    const [first] = offers;
    if (first === undefined) {
      throw new CliError("E_NO_CAPABILITY", `no agent offers "${name}" here`);
    }
    // Agents may offer different versions: the newest one speaks for the capability.
    const newest = offers.reduce((a, b) => (newer(b.offer, a.offer) ? b : a), first).offer;
    const versions = [...new Set(offers.map((x) => x.offer.version))].sort();
    if (s.options.jsonSchema === true) {
      return s.out.document({ input: newest.input ?? {}, output: newest.output ?? {} });
    }
    const agents = offers.map((x) => x.agent).sort();
    if (s.out.json) return s.out.document({ ...newest, versions, agents });
    s.out.fields([
      ["capability", name],
      ["versions", versions.join(", ")],
      ["what", newest.description],
      ["agents", `${agents.length}: ${agents.slice(0, 10).join(", ")}`],
      ["usually", newest.durationMs === undefined ? undefined : `${newest.durationMs} ms`],
      ["price", newest.cost === undefined ? undefined : String(newest.cost)],
      ["input", JSON.stringify(newest.input) ?? "anything"],
      ["output", JSON.stringify(newest.output) ?? "anything"],
    ]);
  });
}

function newer(a: Capability, b: Capability): boolean {
  const numbers = (c: Capability) => c.version.split(".").map(Number);
  const [x, y] = [numbers(a), numbers(b)];
  const at = x.findIndex((n, i) => n !== y[i]);
  return at >= 0 && (x[at] ?? 0) > (y[at] ?? 0);
}
