// Whether a value means the same after msgpack. msgpackr packs more than it should for a wire:
// undefined and dates as extensions, sets and errors as arrays, lone surrogates as bytes that are
// not UTF-8, and typed arrays other than Uint8Array with uninitialised memory inside.

import { containersMax, type DecodeFault, type Limits } from "./faults.ts";
import { FORBIDDEN_KEYS } from "./key-ledger.ts";

/** A value that no receiver would accept. `code` is what the receiver would have answered. */
export class EncodeError extends TypeError {
  readonly code: DecodeFault;

  constructor(code: DecodeFault, message: string) {
    super(message);
    this.name = "EncodeError";
    this.code = code;
  }
}

/**
 * Throws an {@link EncodeError} that names the place, unless `value` is made of null, booleans,
 * finite numbers, well-formed strings, Uint8Array, arrays and plain objects, within the limits of
 * depth and keys. Properties that are undefined do not count: they are left out, as in JSON.
 */
export function assertEncodable(value: unknown, limits: Limits): void {
  const keysLeft = limits.keysMax;
  visit(value, { path: [], keysLeft, containersLeft: containersMax(limits), limits });
}

type Walk = {
  readonly path: (string | number)[];
  readonly limits: Limits;
  keysLeft: number;
  containersLeft: number;
};

function visit(value: unknown, walk: Walk): void {
  switch (typeof value) {
    case "boolean":
      return;
    case "string":
      if (value.isWellFormed()) return;
      throw fault("bad_utf8", walk, "a string with a lone surrogate; use toWellFormed()");
    case "number":
      if (Number.isFinite(value)) return;
      throw fault("bad_number", walk, `${value}; use null or leave it out`);
    case "object":
      if (value !== null) visitObject(value, walk);
      return;
    default:
      throw fault("bad_type", walk, `a ${typeof value}; send a string or a number instead`);
  }
}

function visitObject(value: object, walk: Walk): void {
  if (value instanceof Uint8Array) return;
  if (walk.path.length >= walk.limits.depthMax) {
    throw fault("too_deep", walk, `more than ${walk.limits.depthMax} levels; is it circular?`);
  }
  if (walk.containersLeft-- === 0) {
    throw fault("too_many_keys", walk, `one of over ${containersMax(walk.limits)} objects, arrays`);
  }
  if (Array.isArray(value)) {
    visitArray(value, walk);
    return;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw fault("bad_type", walk, `a ${className(value)}; send a plain object or a string instead`);
  }
  visitPlain(value as Record<string, unknown>, walk);
}

function visitArray(array: readonly unknown[], walk: Walk): void {
  const level = walk.path.push(0) - 1;
  for (let i = 0; i < array.length; i++) {
    const item = array[i];
    if (item === undefined) continue; // becomes null, as in JSON
    walk.path[level] = i;
    visit(item, walk);
  }
  walk.path.pop();
}

function visitPlain(object: Record<string, unknown>, walk: Walk): void {
  const level = walk.path.push("") - 1;
  for (const key of Object.keys(object)) {
    const item = object[key];
    if (item === undefined) continue;
    walk.path[level] = key;
    if (FORBIDDEN_KEYS.has(key)) throw fault("forbidden_key", walk, "a key with a special meaning");
    if (!key.isWellFormed()) throw fault("bad_utf8", walk, "a key with a lone surrogate");
    if (walk.keysLeft-- === 0) {
      throw fault("too_many_keys", walk, `more than ${walk.limits.keysMax} keys`);
    }
    visit(item, walk);
  }
  walk.path.pop();
}

function className(value: object): string {
  const maker: unknown = value.constructor;
  return typeof maker === "function" ? maker.name : "class instance";
}

function fault(code: DecodeFault, walk: Walk, what: string): EncodeError {
  const place = walk.path.length === 0 ? "the value" : walk.path.join(".");
  return new EncodeError(code, `cannot be sent: ${place} is ${what}`);
}
