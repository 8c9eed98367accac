// Who wants which subjects: a tree of tokens, with `*` and `>`, and queue groups at its nodes.
// Adding and removing cost the depth of the pattern, whatever the number of subscriptions.

/** What the tree asks of its members. */
export interface Interested {
  readonly pattern: string;
  readonly queue: string | undefined;
  /** Where it stands in its list; the tree's own. */
  place: number;
}

interface Node<S> {
  children: Map<string, Node<S>> | undefined;
  star: Node<S> | undefined;
  /** Ends in `>`: everything below. */
  rest: Node<S> | undefined;
  plain: S[] | undefined;
  groups: Map<string, S[]> | undefined;
}

function node<S>(): Node<S> {
  return {
    children: undefined,
    star: undefined,
    rest: undefined,
    plain: undefined,
    groups: undefined,
  };
}

/** Found for one subject: everybody of the first, one member of each of the second. */
export interface Matches<S> {
  plain: S[];
  groups: S[][];
}

export class Interest<S extends Interested> {
  readonly #root = node<S>();

  add(sub: S): void {
    let at = this.#root;
    for (const token of tokensOf(sub.pattern)) at = step(at, token);
    const list = listOf(at, sub);
    sub.place = list.length;
    list.push(sub);
  }

  remove(sub: S): void {
    this.#remove(this.#root, tokensOf(sub.pattern), 0, sub);
  }

  /** True when the node is empty afterwards and may go. */
  #remove(at: Node<S>, tokens: readonly string[], depth: number, sub: S): boolean {
    const token = tokens[depth];
    if (token === undefined) {
      takeOut(at, sub);
    } else {
      const next = token === "*" ? at.star : token === ">" ? at.rest : at.children?.get(token);
      if (next === undefined || !this.#remove(next, tokens, depth + 1, sub)) return false;
      if (token === "*") at.star = undefined;
      else if (token === ">") at.rest = undefined;
      else if (at.children?.delete(token) && at.children.size === 0) at.children = undefined;
    }
    return (
      at.plain === undefined &&
      at.groups === undefined &&
      at.children === undefined &&
      at.star === undefined &&
      at.rest === undefined
    );
  }

  /** Adds to `found` whoever wants this subject; it must be one without wildcards. */
  match(tokens: readonly string[], found: Matches<S>): void {
    walk(this.#root, tokens, 0, found);
  }
}

/** Agents leave and join the same few groups all the time. */
const known = new Map<string, readonly string[]>();
const KNOWN_MAX = 1_000;

export function tokensOf(pattern: string): readonly string[] {
  let tokens = known.get(pattern);
  if (tokens === undefined) {
    if (known.size === KNOWN_MAX) known.clear();
    tokens = pattern.split(".");
    known.set(pattern, tokens);
  }
  return tokens;
}

function step<S>(at: Node<S>, token: string): Node<S> {
  if (token === "*") {
    at.star ??= node();
    return at.star;
  }
  if (token === ">") {
    at.rest ??= node();
    return at.rest;
  }
  at.children ??= new Map();
  let next = at.children.get(token);
  if (next === undefined) {
    next = node();
    at.children.set(token, next);
  }
  return next;
}

function listOf<S extends Interested>(at: Node<S>, sub: S): S[] {
  if (sub.queue === undefined) {
    at.plain ??= [];
    return at.plain;
  }
  at.groups ??= new Map();
  let group = at.groups.get(sub.queue);
  if (group === undefined) {
    group = [];
    at.groups.set(sub.queue, group);
  }
  return group;
}

/** The last one takes its place: no list is moved as a whole. */
function takeOut<S extends Interested>(at: Node<S>, sub: S): void {
  const list = sub.queue === undefined ? at.plain : at.groups?.get(sub.queue);
  if (list === undefined || list[sub.place] !== sub) return;
  const last = list.pop() as S;
  if (last !== sub) {
    list[sub.place] = last;
    last.place = sub.place;
  }
  if (list.length > 0) return;
  if (sub.queue === undefined) at.plain = undefined;
  else if (at.groups?.delete(sub.queue) && at.groups.size === 0) at.groups = undefined;
}

function walk<S>(at: Node<S>, tokens: readonly string[], depth: number, found: Matches<S>): void {
  if (depth === tokens.length) return take(at, found);
  if (at.rest !== undefined) take(at.rest, found);
  const next = at.children?.get(tokens[depth] as string);
  if (next !== undefined) walk(next, tokens, depth + 1, found);
  if (at.star !== undefined) walk(at.star, tokens, depth + 1, found);
}

function take<S>(at: Node<S>, found: Matches<S>): void {
  if (at.plain !== undefined) for (const sub of at.plain) found.plain.push(sub);
  if (at.groups !== undefined) for (const group of at.groups.values()) found.groups.push(group);
}
