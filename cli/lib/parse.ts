// Arguments as people write them.
import { InvalidArgumentError } from "commander";
import { isToken, parseAddress, tokenAdvice } from "../../contracts/ids.ts";
import type { Requirements } from "../../contracts/spec.ts";
import { isVersion } from "../../mesh/core/match.ts";

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 24 * 3_600_000,
};

/** `250ms`, `30s`, `5m`, `1h30m`, `30d` as milliseconds; undefined when it is none. */
export function lengthOf(text: string): number | undefined {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
  if (parts.length === 0 || parts.map((part) => part[0]).join("") !== text) return undefined;
  const ms = parts.reduce((sum, [, n, unit]) => sum + Number(n) * (UNITS[unit ?? ""] ?? 0), 0);
  return ms > 0 && ms <= Number.MAX_SAFE_INTEGER ? Math.round(ms) : undefined;
}

export function duration(text: string): number {
  const ms = lengthOf(text);
  if (ms !== undefined) return ms;
  throw new InvalidArgumentError("Write a length of time: 250ms, 30s, 5m, 1h30m, 30d.");
}

/** A number within bounds, as commander's argument parsers are made. */
export function numberFrom(low: number, high: number, integer = true) {
  return (text: string): number => {
    const value = text.trim() === "" ? Number.NaN : Number(text);
    if (value >= low && value <= high && (!integer || Number.isInteger(value))) return value;
    throw new InvalidArgumentError(
      `Write ${integer ? "a whole number" : "a number"} from ${low} to ${high}.`,
    );
  };
}

/** A moment: RFC 3339, or a length of time from now. Absolute, ms. */
export function moment(text: string): number {
  const length = lengthOf(text);
  if (length !== undefined) return Date.now() + length;
  const [day = ""] = /^\d{4}-\d\d-\d\d/.exec(text) ?? [];
  const at = isDay(day) ? Date.parse(text) : Number.NaN;
  if (Number.isFinite(at)) return at;
  throw new InvalidArgumentError("Write a time such as 2027-01-31T12:00:00Z, or a length: 5m.");
}

/** The platform takes 31 February for 3 March. */
function isDay(day: string): boolean {
  const at = Date.parse(`${day}T00:00:00Z`);
  return Number.isFinite(at) && new Date(at).toISOString().startsWith(day);
}

/** `2`, `2.1`, `2.1.0`. */
export function version(text: string): string {
  if (isVersion(text)) return text;
  throw new InvalidArgumentError("Write a version: 2, 2.1 or 2.1.0.");
}

export function token(what: string) {
  return (text: string): string => {
    if (isToken(text)) return text;
    throw new InvalidArgumentError(`${tokenAdvice(what, text)}.`);
  };
}

export function addressOf(text: string): string {
  if (parseAddress(text) !== undefined) return text;
  throw new InvalidArgumentError("Write an agent's address: <principal>.<agent>.");
}

/** `a,b,c`, and again for a repeated option. */
export function list(text: string, before: string[] = []): string[] {
  const names = text.split(",").map((name) => name.trim());
  return [...before, ...names.filter((name) => name !== "")];
}

type Value = string | number | boolean;

function attributeValue(text: string): Value {
  if (text === "true" || text === "false") return text === "true";
  return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

/** `region=eu`, `region=eu|us`, `memory>=16`, `memory<=64`; repeated options add up. */
export function requirement(text: string, before: Requirements = {}): Requirements {
  const match = /^([^=<>]{1,64})(>=|<=|=)(.+)$/.exec(text);
  const [, name, operator, right] = match ?? [];
  if (name === undefined || right === undefined) {
    throw new InvalidArgumentError("Write name=value, name=a|b, name>=number or name<=number.");
  }
  if (operator === "=") {
    const values = right.split("|").map(attributeValue);
    return { ...before, [name]: values.length === 1 ? (values[0] as Value) : { in: values } };
  }
  const bound = attributeValue(right);
  if (typeof bound !== "number") {
    throw new InvalidArgumentError(`After ${operator} comes a number, not "${right}".`);
  }
  const held = before[name];
  const bounds = typeof held === "object" && !("in" in held) ? held : {};
  return { ...before, [name]: { ...bounds, [operator === ">=" ? "min" : "max"]: bound } };
}

/** `time=2,cost=1`. */
export function weights(text: string): Record<string, number> {
  const found: Record<string, number> = {};
  for (const part of text.split(",")) {
    const [name = "", value = ""] = part.split("=");
    const known = ["time", "cost", "load", "risk"].includes(name);
    if (!known || value === "" || !(Number(value) >= 0 && Number(value) <= 1_000)) {
      throw new InvalidArgumentError("Write weights from 0 to 1000: time=2,cost=1,load=1,risk=1.");
    }
    found[name] = Number(value);
  }
  return found;
}
