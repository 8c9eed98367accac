// References inside a definition: `{"$": "steps.fetch.output.items.0"}` stands for a value.
import type { Condition } from "../../../contracts/index.ts";

/** What references may name. */
export interface Scope {
  params: Readonly<Record<string, unknown>>;
  steps: Readonly<Record<string, { state: string; output?: unknown }>>;
  [more: string]: unknown;
}

export function isRef(value: unknown): value is { $: string } {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const keys = Object.keys(value);
  return keys.length === 1 && keys[0] === "$" && typeof (value as { $: unknown }).$ === "string";
}

/** The value at a path; undefined where it leads nowhere. Own properties only. */
export function valueAt(scope: Scope, path: string): unknown {
  let value: unknown = scope;
  for (const part of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part))
      return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

/** The template with every reference replaced; one that leads nowhere becomes null. */
export function fill(template: unknown, scope: Scope): unknown {
  if (isRef(template)) return valueAt(scope, template.$) ?? null;
  if (Array.isArray(template)) return template.map((each) => fill(each, scope));
  if (typeof template !== "object" || template === null) return template;
  return Object.fromEntries(Object.entries(template).map(([k, v]) => [k, fill(v, scope)]));
}

/** Every path that a template or condition refers to. */
export function refsIn(template: unknown, found: string[] = []): string[] {
  if (Array.isArray(template)) for (const each of template) refsIn(each, found);
  else if (typeof template === "object" && template !== null) {
    const { $ } = template as { $?: unknown };
    if (typeof $ === "string") found.push($);
    for (const each of Object.values(template)) if (typeof each === "object") refsIn(each, found);
  }
  return found;
}

/** The step that a path names; undefined when it names something else. */
export function stepOf(path: string): string | undefined {
  const [root, id] = path.split(".");
  return root === "steps" ? id : undefined;
}

export function holds(c: Condition, scope: Scope): boolean {
  if ("all" in c) return c.all.every((each) => holds(each, scope));
  if ("any" in c) return c.any.some((each) => holds(each, scope));
  if ("not" in c) return !holds(c.not, scope);
  const value = valueAt(scope, c.$);
  const rest: Record<string, unknown> = c;
  const tests = Object.keys(c).filter((k) => k !== "$" && rest[k] !== undefined);
  // Nothing to compare with: is it so at all?
  if (tests.length === 0) return Boolean(value);
  return tests.every((test) => compare(test, value, rest[test]));
}

function compare(test: string, value: unknown, other: unknown): boolean {
  if (test === "exists") return (value !== undefined && value !== null) === other;
  if (test === "eq") return same(value, other);
  if (test === "ne") return !same(value, other);
  if (test === "in") return Array.isArray(other) && other.some((each) => same(value, each));
  if (typeof value !== "number" || typeof other !== "number") return false;
  if (test === "lt") return value < other;
  if (test === "le") return value <= other;
  return test === "gt" ? value > other : value >= other;
}

function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
