// Does an agent meet what a task asks? Judged at the bidder (eligibility), from its own card; an
// initiator only spares itself an offer that would be refused.
import type {
  Address,
  AgentCard,
  Attributes,
  Capability,
  Requirements,
  Spec,
} from "../../contracts/index.ts";

type Requirement = Requirements[string];

/** What a task asks of whoever does it. */
export type Needs = Pick<
  Spec,
  "capability" | "version" | "requires" | "to" | "only" | "exclude" | "budget" | "hints"
>;

/** The only agent that may have it, where there is one. */
function sole({ to, only }: Needs): Address | undefined {
  return only === true ? to : undefined;
}

/** Equal for tasks that ask for the same. Where they say what they would pay, that is about the
 * same, and so is their size, which a price may go by: up to twice as much. */
export function needsKey(needs: Needs): string {
  const { version, requires, exclude, budget } = needs;
  const to = sole(needs);
  const plain = version === undefined && requires === undefined && to === undefined;
  if (plain && exclude === undefined && budget === undefined) return "";
  const pays = budget === undefined ? null : [budgetOf(needs), sizeOf(needs)];
  return JSON.stringify([version, requires, to, exclude, pays]);
}

/** The least that a task of its key would pay. */
function budgetOf({ budget }: Needs): number | undefined {
  return budget && 2 ** Math.floor(Math.log2(budget));
}

/** More than any task of its key that would pay something is long. */
function sizeOf({ hints: { size = 0 } = {} }: Needs): number {
  return size > 0 ? 2 ** (Math.floor(Math.log2(size)) + 1) : 0;
}

/** What all tasks of one key ask for. */
export function needsOf(needs: Needs): Needs {
  const { capability, version, requires, to, only, exclude } = needs;
  const budget = budgetOf(needs);
  const hints = budget === undefined ? {} : { size: sizeOf(needs) };
  return { capability, version, requires, to, only, exclude, budget, hints };
}

/** Could whoever may do the one do the other as well? In doubt not. */
export function asksNoMore(one: Needs, other: Needs): boolean {
  const to = sole(one);
  if (to !== undefined && to !== sole(other)) return false;
  if (one.version !== undefined && one.version !== other.version) return false;
  if (one.budget !== undefined) {
    if (other.budget === undefined || other.budget > one.budget) return false;
    if ((one.hints?.size ?? 0) > (other.hints?.size ?? 0)) return false;
  }
  if (one.exclude?.some((agent) => other.exclude?.includes(agent) !== true)) return false;
  const { requires = {} } = one;
  return Object.keys(requires).every((name) => {
    const [asked, given] = [requires[name], other.requires?.[name]];
    return asked === undefined || (given !== undefined && implies(given, asked));
  });
}

/** Is every value that meets the one such that it meets the other? In doubt not. */
function implies(one: Requirement, other: Requirement): boolean {
  if (typeof one !== "object") return meets({ it: other }, { it: one });
  if ("in" in one) return one.in.every((it) => meets({ it: other }, { it }));
  if (typeof other !== "object" || "in" in other) return false;
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = one;
  return min >= (other.min ?? min) && max <= (other.max ?? max);
}

/** Is it plain from its card that this agent would refuse? Its price is its own to make. */
export function refuses(needs: Needs, agent: Address, card: AgentCard | undefined): boolean {
  const to = sole(needs);
  if (to !== undefined && to !== agent) return true;
  if (needs.exclude?.includes(agent) === true) return true;
  if (needs.version === undefined && needs.requires === undefined) return false;
  const c = card?.capabilities.find(({ name }) => name === needs.capability);
  if (card === undefined || c === undefined) return false;
  if (!versionMeets(needs.version, c.version)) return true;
  return !meets(needs.requires, attributesOf(card.attributes, c));
}

/** Every requirement must hold; an attribute that is absent meets none. */
export function meets(wanted: Requirements | undefined, have: Attributes | undefined): boolean {
  if (wanted === undefined) return true;
  for (const name of Object.keys(wanted)) {
    const want = wanted[name];
    const value = have?.[name];
    if (want === undefined) continue;
    if (value === undefined) return false;
    if (typeof want !== "object") {
      if (want !== value) return false;
    } else if ("in" in want) {
      if (!want.in.includes(value)) return false;
    } else {
      if (typeof value !== "number") return false;
      if (want.min !== undefined && value < want.min) return false;
      if (want.max !== undefined && value > want.max) return false;
    }
  }
  return true;
}

/** Same major version, and at least the wanted one. "2", "2.1" and "2.1.0" are all allowed. */
export function versionMeets(wanted: string | undefined, have: string): boolean {
  if (wanted === undefined || wanted === "") return true;
  const w = numbers(wanted);
  const h = numbers(have);
  if (w === undefined || h === undefined || w[0] !== h[0]) return false;
  if (w[1] !== h[1]) return h[1] > w[1];
  return h[2] >= w[2];
}

/** Can any agent's version meet it? */
export function isVersion(wanted: string): boolean {
  return wanted === "" || numbers(wanted) !== undefined;
}

function numbers(version: string): [number, number, number] | undefined {
  const match = /^[\^~]?(\d{1,6})(?:\.(\d{1,6}))?(?:\.(\d{1,6}))?$/.exec(version);
  if (match === null) return undefined;
  return [Number(match[1]), Number(match[2] ?? 0), Number(match[3] ?? 0)];
}

/** Attributes of a capability, with the agent's own beneath them. */
export function attributesOf(agent: Attributes | undefined, c: Capability): Attributes {
  return { ...agent, ...c.attributes };
}

/**
 * Which of `groups` queue groups an agent sits in: a stable hash of its address. FNV-1a with the
 * final mixing of MurmurHash3, since FNV's low bits depend on the low bits of the letters alone:
 * a thousand agents `a0001.a0001`, ... fell into two groups of eight.
 */
export function groupOf(address: string, groups: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < address.length; i++) {
    hash ^= address.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  hash ^= hash >>> 16;
  return (hash >>> 0) % groups;
}
