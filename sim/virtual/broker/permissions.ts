// What the server lets a connection do: the role's template, held against each subject. A role's
// patterns are kept once, however many connections there are; the principal's own name is put in
// while they are compared.
import { ROLE_PERMISSIONS, type Role } from "../../../contracts/index.ts";

const ME = "{{name()}}";
const CAP = "{{tag(cap)}}";

interface Node {
  literal: Map<string, Node>;
  star: Node | undefined;
  me: Node | undefined;
  cap: Node | undefined;
  /** Ends in `>` here. */
  rest: boolean;
  end: boolean;
}

function node(): Node {
  return {
    literal: new Map(),
    star: undefined,
    me: undefined,
    cap: undefined,
    rest: false,
    end: false,
  };
}

interface Rules {
  publish: Node;
  deny: Node;
  subscribe: Node;
}

function tree(patterns: readonly string[]): Node {
  const root = node();
  for (const pattern of patterns) {
    let at = root;
    for (const token of pattern.split(".")) {
      if (token === ">") at.rest = true;
      else at = step(at, token);
    }
    if (!pattern.endsWith(">")) at.end = true;
  }
  return root;
}

function step(at: Node, token: string): Node {
  if (token === "*") {
    at.star ??= node();
    return at.star;
  }
  if (token === ME) {
    at.me ??= node();
    return at.me;
  }
  if (token === CAP) {
    at.cap ??= node();
    return at.cap;
  }
  let next = at.literal.get(token);
  if (next === undefined) {
    next = node();
    at.literal.set(token, next);
  }
  return next;
}

const rules = new Map<Role, Rules>();

function rulesOf(role: Role): Rules {
  let found = rules.get(role);
  if (found === undefined) {
    const p = ROLE_PERMISSIONS[role];
    found = {
      publish: tree(p.publish),
      deny: tree(p.denyPublish ?? []),
      subscribe: tree(p.subscribe),
    };
    rules.set(role, found);
  }
  return found;
}

export class Rights {
  readonly #rules: Rules;
  readonly #name: string;
  readonly #capabilities: ReadonlySet<string>;

  constructor(role: Role, name: string, capabilities: readonly string[]) {
    this.#rules = rulesOf(role);
    this.#name = name;
    this.#capabilities = new Set(capabilities);
  }

  mayPublish(tokens: readonly string[]): boolean {
    if (this.#within(this.#rules.deny, tokens, 0)) return false;
    return this.#within(this.#rules.publish, tokens, 0);
  }

  maySubscribe(tokens: readonly string[]): boolean {
    return this.#within(this.#rules.subscribe, tokens, 0);
  }

  /** A wildcard in the subject must be granted as one. */
  #within(at: Node, tokens: readonly string[], depth: number): boolean {
    const token = tokens[depth];
    if (token === undefined) return at.end;
    if (at.rest) return true;
    if (token === ">") return false;
    const { star, me, cap } = at;
    if (star !== undefined && this.#within(star, tokens, depth + 1)) return true;
    if (token === "*") return false;
    const same = at.literal.get(token);
    if (same !== undefined && this.#within(same, tokens, depth + 1)) return true;
    if (me !== undefined && token === this.#name && this.#within(me, tokens, depth + 1)) {
      return true;
    }
    return (
      cap !== undefined && this.#capabilities.has(token) && this.#within(cap, tokens, depth + 1)
    );
  }
}
