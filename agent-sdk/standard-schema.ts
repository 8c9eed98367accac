// Standard Schema (standardschema.dev, version 1): the interface that zod, valibot, arktype and
// others implement, written out here so that no author depends on our choice of library.
import { ParleyError } from "../contracts/index.ts";

export interface StandardSchemaV1<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What goes into a schema: the side that sends. Fields with a default are optional. */
export type InferInput<Schema extends StandardSchemaV1> = NonNullable<
  Schema["~standard"]["types"]
>["input"];

/** What comes out of a schema: the side that receives. Defaults are filled in. */
export type InferOutput<Schema extends StandardSchemaV1> = NonNullable<
  Schema["~standard"]["types"]
>["output"];

/** Complaints named in an error message; a person mends one at a time anyway. */
const ISSUES_TOLD = 5;

/** @throws ParleyError `code`, naming the place and the complaint. */
export async function validate<Schema extends StandardSchemaV1>(
  schema: Schema,
  value: unknown,
  code: "E_INPUT" | "E_OUTPUT",
  what: string,
): Promise<InferOutput<Schema>> {
  const result = await schema["~standard"].validate(value);
  if (result.issues === undefined) return result.value;
  const told = result.issues.slice(0, ISSUES_TOLD).map(describe);
  const more = result.issues.length - told.length;
  if (more > 0) told.push(`and ${more} more`);
  throw new ParleyError(code, `${what} does not fit its schema: ${told.join("; ")}`);
}

function describe(issue: SchemaIssue): string {
  const path = (issue.path ?? []).map((step) => String(typeof step === "object" ? step.key : step));
  return path.length === 0 ? issue.message : `${path.join(".")}: ${issue.message}`;
}

/** Largest JSON Schema put into a card, bytes of JSON. Origin: guess; a card holds 128 KiB. */
const JSON_SCHEMA_BYTES_MAX = 16 * 1024;

interface MaybeJsonSchema {
  readonly "~standard": {
    /** Standard JSON Schema, where the library has it (zod 4.2, arktype). */
    readonly jsonSchema?: { input?: (options: { target: string }) => unknown };
  };
  /** zod 4 before that. */
  readonly toJSONSchema?: (options: { io: "input"; target: string }) => unknown;
}

/**
 * JSON Schema of what has to be sent, for the agent's card. Undefined where the library gives
 * none, or the schema has no such form (transforms of unknown kind, dates).
 */
export function jsonSchemaOf(schema: StandardSchemaV1): Record<string, unknown> | undefined {
  const offers = schema as MaybeJsonSchema;
  const target = "draft-2020-12";
  try {
    const made =
      offers["~standard"].jsonSchema?.input !== undefined
        ? offers["~standard"].jsonSchema.input({ target })
        : offers.toJSONSchema?.({ io: "input", target });
    // Through text: what is not JSON (functions, symbols) must not reach a signed card.
    const text = JSON.stringify(made);
    if (text === undefined || text.length > JSON_SCHEMA_BYTES_MAX) return undefined;
    const plain: unknown = JSON.parse(text);
    return isObject(plain) ? plain : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
