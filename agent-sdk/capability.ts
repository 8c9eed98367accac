// A capability as its author states it: one value, imported by the side that serves and by the
// side that calls, so that both are held to the same types.
import { z } from "zod";
import {
  type Capability as AnnouncedCapability,
  type Attributes,
  AttributesSchema,
  isToken,
  ParleyError,
  type Rate,
  RateSchema,
  tokenAdvice,
  VersionSchema,
} from "../contracts/index.ts";
import {
  type InferInput,
  type InferOutput,
  jsonSchemaOf,
  type StandardSchemaV1,
} from "./standard-schema.ts";

export interface CapabilityOptions<
  Input extends StandardSchemaV1,
  Output extends StandardSchemaV1,
> {
  /** One token of `A-Z a-z 0-9 _ -`: it is part of subjects, so it has no dots. */
  name: string;
  /** `1.2.3`; default `1.0.0`. A caller gets agents of the same major version, not older. */
  version?: string;
  /** For people: up to 1024 characters. */
  description?: string;
  input: Input;
  output: Output;
  /** Usual duration, ms: bids start from it until the agent knows its own. */
  durationMs?: number;
  /** Price of one task in the mesh's unit of account; default 0. */
  cost?: number;
  /** What callers may ask for with `requires`. */
  attributes?: Attributes;
}

export interface Capability<
  Input extends StandardSchemaV1 = StandardSchemaV1,
  Output extends StandardSchemaV1 = StandardSchemaV1,
> extends Readonly<CapabilityOptions<Input, Output>> {
  readonly version: string;
}

/** What a caller hands over: defaults may be left out. */
export type InputOf<C extends Capability> = InferInput<C["input"]>;
/** What a handler gets: defaults are there. */
export type HandlerInputOf<C extends Capability> = InferOutput<C["input"]>;
/** What a handler gives back. */
export type HandlerOutputOf<C extends Capability> = InferInput<C["output"]>;
/** What a caller gets. */
export type OutputOf<C extends Capability> = InferOutput<C["output"]>;

/** For those whose compiler does not tell. @throws ParleyError E_SCHEMA */
export function checkDefined(capability: Capability, verb: string): void {
  const { name, input, output } = (capability ?? {}) as Partial<Capability>;
  if (isToken(name) && isSchema(input) && isSchema(output)) return;
  throw new ParleyError("E_SCHEMA", `${verb} takes what defineCapability({ … }) has made`);
}

function isSchema(value: StandardSchemaV1 | undefined): boolean {
  return typeof value?.["~standard"]?.validate === "function";
}

/** @throws ParleyError E_SCHEMA, with a name or value that would do. */
export function defineCapability<
  const Input extends StandardSchemaV1,
  const Output extends StandardSchemaV1,
>(options: CapabilityOptions<Input, Output>): Capability<Input, Output> {
  const { name, version = "1.0.0" } = options;
  if (!isToken(name)) throw new ParleyError("E_SCHEMA", tokenAdvice("capability", String(name)));
  if (!VersionSchema.safeParse(version).success) {
    throw new ParleyError("E_SCHEMA", `version "${version}" of ${name} must look like 1.2.3`);
  }
  for (const side of ["input", "output"] as const) {
    if (isSchema(options[side])) continue;
    throw new ParleyError(
      "E_SCHEMA",
      `${side} of ${name} must be a Standard Schema, such as ` +
        "z.object({ … }) of zod 4 or v.object({ … }) of valibot",
    );
  }
  checkTerms(name, options);
  return Object.freeze({ ...options, version });
}

/** Checks what both a capability and `serve` may say about price, time and attributes. */
export function checkTerms(
  name: string,
  terms: { cost?: number; durationMs?: number; attributes?: Attributes; rate?: Rate },
): void {
  for (const field of ["cost", "durationMs"] as const) {
    const value = terms[field];
    if (value === undefined || (Number.isFinite(value) && value >= 0)) continue;
    throw new ParleyError("E_SCHEMA", `${field} of ${name} must be 0 or more, not ${value}`);
  }
  if (terms.rate !== undefined && !RateSchema.safeParse(terms.rate).success) {
    throw new ParleyError(
      "E_SCHEMA",
      `rate of ${name} must look like { perS: 5, burst: 10, per: "owner" }: perS above 0, burst ` +
        "1 or more",
    );
  }
  const fits = AttributesSchema.optional().safeParse(terms.attributes);
  if (!fits.success) {
    throw new ParleyError(
      "E_SCHEMA",
      `attributes of ${name} must be texts (256 characters at most), numbers or booleans`,
    );
  }
}

/** The capability as the agent's card shows it. */
export function announced(c: Capability, terms: ServeTerms): AnnouncedCapability {
  const optional = {
    description: c.description?.slice(0, 1024),
    input: jsonSchemaOf(c.input),
    output: jsonSchemaOf(c.output),
    durationMs: terms.durationMs ?? c.durationMs,
    cost: terms.cost ?? c.cost,
    slots: terms.slots,
    rate: terms.rate,
    attributes:
      c.attributes === undefined && terms.attributes === undefined
        ? undefined
        : { ...c.attributes, ...terms.attributes },
  };
  const card: AnnouncedCapability = { name: c.name, version: c.version };
  for (const [key, value] of Object.entries(optional)) {
    if (value !== undefined) Object.assign(card, { [key]: value });
  }
  return card;
}

/** Whatever its agents take and give: they check it themselves. */
export function untyped(name: string, version = ""): Capability {
  const anything = z.unknown();
  return Object.freeze({ name, version, input: anything, output: anything });
}

/** What one agent says of its own way of serving a capability. */
export interface ServeTerms {
  /** Tasks of this capability at a time; default 1. */
  slots?: number;
  /** At most so many tasks a second; `per: "owner"` counts each owner of tasks apart. */
  rate?: Rate;
  /** Price of one task here; the capability's when absent. */
  cost?: number;
  /** Usual duration here, ms; the capability's when absent. */
  durationMs?: number;
  /** On top of the capability's and the agent's. */
  attributes?: Attributes;
}
