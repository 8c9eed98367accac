// `parley workflow check` and `plan`: definitions before they run.
import type { Command } from "commander";
import type { Offer } from "../../mesh/core/workflow/offer.ts";
import { planWorkflow } from "../../mesh/core/workflow/plan.ts";
import type { Inspector } from "../../mesh/inspector.ts";
import { CliError, usage } from "../lib/errors.ts";
import { withExamples } from "../lib/examples.ts";
import { readJsonFile } from "../lib/input.ts";
import { list, token } from "../lib/parse.ts";
import { session, withInspector, withSubmitter } from "../lib/session.ts";

export function registerWorkflowPlan(flow: Command): void {
  withExamples(
    flow
      .command("check <file>")
      .description("everything that is wrong with a definition, and what to do; - for a pipe")
      .action((file: string, _o: object, command: Command) => check(command, file)),
    "parley workflow check order.json",
  );
  withExamples(
    flow
      .command("put <file>")
      .description("store a version of a definition, to be run by its name")
      .action((file: string, _o: object, command: Command) => put(command, file)),
    "parley workflow put report.json",
    'parley workflow run cli.report --params \'{"topic":"voles"}\' --wait',
  );
  withExamples(
    flow
      .command("stored")
      .description("the definitions that are stored")
      .action((_o: object, command: Command) => stored(command)),
    "parley workflow stored",
  );
  withExamples(
    flow
      .command("plan")
      .description(
        "the definition that makes what is wanted from what is there, by the inputs and outputs " +
          "that agents declare; read it, change it, run it",
      )
      .requiredOption("--goal <names>", "products wanted, with commas", list)
      .option("--have <names>", "products that are there: the parameters", list, [])
      .option("--call <name>", "the definition's name", token("name"), "plan")
      .action((_o: object, command: Command) => plan(command)),
    "parley workflow plan --goal report --have topic > report.json",
  );
}

async function check(command: Command, file: string): Promise<void> {
  const s = session(command);
  const value = await readJsonFile(file);
  const { readWorkflow } = await import("../../agent-sdk/read-workflow.ts");
  const offered = await withInspector(s, "read", offers).catch(() => undefined);
  if (offered === undefined) s.out.note("no mesh to ask who offers what: that is not checked");
  const { name, version, steps } = readWorkflow(value, offered);
  if (s.out.json) return s.out.document({ name, version, steps: steps.length });
  s.out.text(`${name} ${version}: ${steps.length} steps, nothing wrong`);
}

async function put(command: Command, file: string): Promise<void> {
  const s = session(command);
  const value = await readJsonFile(file);
  const { Definitions } = await import("../../agent-sdk/definitions.ts");
  await withSubmitter(s, async (peer, { buckets }) => {
    const use = await new Definitions(buckets.workflows, peer.options.principal).put(value);
    if (s.out.json) return s.out.document({ use });
    s.out.text(use);
    s.out.note(`run it: parley workflow run ${use.split("@")[0]}`);
  });
}

async function stored(command: Command): Promise<void> {
  const s = session(command);
  const { Definitions } = await import("../../agent-sdk/definitions.ts");
  await withSubmitter(s, async (peer, { buckets }) => {
    const all = await new Definitions(buckets.workflows, peer.options.principal).list();
    if (s.out.json) return s.out.document(all);
    if (all.length === 0) return s.out.note("no definitions are stored");
    const rows = all.map(({ name, version }) => [name, version]);
    s.out.table(["NAME", "VERSION"], rows);
  });
}

/** What all cards say that agents can do. */
async function offers(mesh: Inspector): Promise<Offer[]> {
  await mesh.readCards();
  const names = [...mesh.registry.capabilities().keys()];
  return names.flatMap((name) =>
    mesh.registry.find(name).flatMap((card) => card.capabilities.filter((c) => c.name === name)),
  );
}

/** A definition that makes what is wanted, to be read and changed before it runs. */
async function plan(command: Command): Promise<void> {
  const s = session<{ goal: string[]; have: string[]; call: string }>(command);
  const { goal, have, call } = s.options;
  if (goal.length === 0) throw usage("--goal names nothing", "--goal report,chart");
  const known = await withInspector(s, "read", offers);
  const made = planWorkflow({ name: call, goals: goal, have }, known);
  if (made.ok) return s.out.document(made.workflow);
  if (made.gaps.length === 0) throw usage(`there is nothing to do: ${goal.join(", ")} is there`);
  const lines = made.gaps.map(({ product, makers }) => {
    if (makers.length === 0) return `${product}: nobody makes it`;
    const who = makers.map((m) => `${m.capability} (lacks ${m.lacks.join(", ")})`);
    return `${product}: could come from ${who.join(", ")}`;
  });
  throw new CliError("E_NO_CAPABILITY", `no way to ${goal.join(", ")}:\n  ${lines.join("\n  ")}`, {
    next: "start agents that make what is missing, or name it with --have",
  });
}
