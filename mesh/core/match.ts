// Does an agent meet what a task asks? Judged at the bidder (eligibility), from its own card.
import type { Attributes, Capability, Requirements } from "../../contracts/index.ts";

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
