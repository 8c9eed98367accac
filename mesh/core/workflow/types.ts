// Do the values fit that go from step to step? As far as the JSON Schemas on the cards tell: what
// they leave open is no problem.
import type { Step, Workflow } from "../../../contracts/index.ts";
import type { Problem } from "./check.ts";
import { type JsonSchema, type Offer, propertiesOf, requiredOf } from "./offer.ts";
import { isRef, stepOf } from "./template.ts";

export function checkTypes(w: Workflow, offers: ReadonlyMap<string, Offer>): Problem[] {
  const steps = new Map(w.steps.map((step) => [step.id, step]));
  const found: Problem[] = [];
  w.steps.forEach((step, i) => {
    const wanted = offers.get(step.capability)?.input;
    const { input } = step;
    if (wanted === undefined || typeof input !== "object" || input === null) return;
    const here = `steps.${i}.input`;
    if (isRef(input)) {
      fits(input.$, wanted, here, found);
      return;
    }
    const given = input as Record<string, unknown>;
    const { capability } = step;
    for (const name of requiredOf(wanted)) {
      if (name in given) continue;
      const problem = `"${capability}" needs "${name}", which the input does not have`;
      found.push({ path: here, problem, fix: `add "${name}" to the input` });
    }
    for (const [name, value] of Object.entries(given)) {
      const schema = propertiesOf(wanted)[name];
      if (schema === undefined) {
        if (wanted.additionalProperties !== false) continue;
        const problem = `"${capability}" takes no "${name}"`;
        const names = Object.keys(propertiesOf(wanted)).map((n) => `"${n}"`);
        found.push({ path: `${here}.${name}`, problem, fix: `it takes ${names.join(", ")}` });
      } else if (isRef(value)) fits(value.$, schema, `${here}.${name}`, found);
    }
  });
  return found;

  function fits(ref: string, wanted: JsonSchema, path: string, out: Problem[]): void {
    const id = stepOf(ref);
    const from = id === undefined ? undefined : steps.get(id);
    if (from === undefined) return;
    const gives = outputAt(from, ref.split(".").slice(2));
    if (gives === "unknown") return;
    if (gives === undefined) {
      const names = Object.keys(propertiesOf(offers.get(from.capability)?.output));
      const problem = `{"$": "${ref}"}: "${from.capability}" gives no such value`;
      const fix = names.length > 0 ? `it gives ${names.join(", ")}` : "look at its output schema";
      out.push({ path, problem, fix });
      return;
    }
    if (agree(gives, wanted)) return;
    const problem = `{"$": "${ref}"} is ${typeText(gives)}, and ${typeText(wanted)} is wanted`;
    out.push({
      path,
      problem,
      fix: `give ${typeText(wanted)}, or put a step between that makes it`,
    });
  }

  function outputAt(step: Step, path: string[]): JsonSchema | "unknown" | undefined {
    const [part, ...rest] = path;
    if (part !== "output") return "unknown";
    let schema = offers.get(step.capability)?.output;
    if (schema === undefined) return "unknown";
    // A map's output is the list of its elements' outputs.
    if (step.each !== undefined) schema = { type: "array", items: schema };
    for (const name of rest) {
      const next: unknown = /^\d+$/.test(name) ? schema.items : propertiesOf(schema)[name];
      if (typeof next !== "object" || next === null) {
        return schema.additionalProperties === false ? undefined : "unknown";
      }
      schema = next as JsonSchema;
    }
    return schema;
  }
}

function typesOf(schema: JsonSchema): string[] {
  const { type } = schema;
  return Array.isArray(type) ? type.map(String) : typeof type === "string" ? [type] : [];
}

/** Undecided counts as fitting. */
function agree(gives: JsonSchema, wanted: JsonSchema): boolean {
  const [given, asked] = [typesOf(gives), typesOf(wanted)];
  if (given.length === 0 || asked.length === 0) return true;
  return given.some((t) => asked.includes(t) || (t === "integer" && asked.includes("number")));
}

function typeText(schema: JsonSchema): string {
  return typesOf(schema).join(" or ") || "anything";
}
