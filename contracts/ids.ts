// Identifiers. Every one of them is a single subject token, so it can stand in a subject, a bucket
// key, a file name and a shell word without quoting (architecture section 1, "Subjects").
import { z } from "zod";

/** One subject token: letters, digits, `_` and `-`, 1 to 64 of them. */
export const TOKEN = /^[A-Za-z0-9_-]{1,64}$/;

/** Stands in a subject where nobody in particular is meant (the addressee of a spec). */
export const NOBODY = "_";

export function isToken(text: unknown): text is string {
  return typeof text === "string" && TOKEN.test(text);
}

const token = z.string().regex(TOKEN, "a token of A-Z a-z 0-9 _ - (1 to 64 characters)");

export const TokenSchema = token;
export const PrincipalSchema = token;
export const AgentNameSchema = token;
export const TaskIdSchema = token;
export const CapabilityNameSchema = token;

/** `<principal>.<agent>`: where an agent is reached. */
export const AddressSchema = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9_-]{1,64}$/, "an address: <principal>.<agent>");

export type Address = string;

export function address(principal: string, agent: string): Address {
  return `${principal}.${agent}`;
}

/** Whose agent it is. */
export function principalOf(agent: Address): string {
  return agent.slice(0, agent.indexOf("."));
}

/** Splits an address; undefined when the text is not one. */
export function parseAddress(text: string): { principal: string; agent: string } | undefined {
  const dot = text.indexOf(".");
  if (dot < 1) return undefined;
  const principal = text.slice(0, dot);
  const agent = text.slice(dot + 1);
  return isToken(principal) && isToken(agent) ? { principal, agent } : undefined;
}

/** What to say to somebody whose name is no token. Ends with a name that would do. */
export function tokenAdvice(what: string, text: string): string {
  const mended = text
    .replace(/[^A-Za-z0-9_-]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 64);
  const hint = mended.length > 0 ? `; "${mended}" would do` : "";
  return `${what} "${text}" must be 1 to 64 of A-Z a-z 0-9 _ -${hint}`;
}

/** Version of the protocol: the `v` of every message and record. */
export const PROTOCOL_VERSION = 1;
