// What the mesh offers, as far as a definition can be held against it: the capabilities on the
// cards, with the JSON Schemas of what they take and give.
import type { Capability } from "../../../contracts/index.ts";

export type JsonSchema = Readonly<Record<string, unknown>>;
export type Offer = Pick<Capability, "name" | "input" | "output" | "durationMs" | "cost">;

/** By name; of several agents' the first that says something. */
export function offersByName(offers: Iterable<Offer>): Map<string, Offer> {
  const byName = new Map<string, Offer>();
  for (const offer of offers) {
    const known = byName.get(offer.name);
    if (known === undefined || (known.input === undefined && offer.input !== undefined)) {
      byName.set(offer.name, offer);
    }
  }
  return byName;
}

export function propertiesOf(schema: JsonSchema | undefined): Readonly<Record<string, JsonSchema>> {
  const { properties } = schema ?? {};
  return typeof properties === "object" && properties !== null
    ? (properties as Record<string, JsonSchema>)
    : {};
}

export function requiredOf(schema: JsonSchema | undefined): string[] {
  const { required } = schema ?? {};
  return Array.isArray(required) ? required.filter((name) => typeof name === "string") : [];
}
