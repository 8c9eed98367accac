// Ways in which agents work together, each a few lines over what a handler has (DurableActs): what
// they do is done once, whoever holds the contract.
import { ParleyError, sameJson } from "../contracts/index.ts";
import type { Capability, InputOf, OutputOf } from "./capability.ts";
import type { DurableActs } from "./durable.ts";
import type { SubmitOptions } from "./options.ts";

type Acts = Pick<DurableActs, "submit" | "all">;

async function ask<C extends Capability>(
  acts: Pick<DurableActs, "submit">,
  capability: C,
  input: InputOf<C>,
  options: SubmitOptions = {},
): Promise<OutputOf<C>> {
  return (await acts.submit(capability, input, options)).result();
}

/** One stage after the other, each with what the one before gave. */
export async function pipeline(
  acts: Acts,
  input: unknown,
  stages: readonly Capability[],
): Promise<unknown> {
  let value = input;
  for (const stage of stages) value = await ask(acts, stage, value as never);
  return value;
}

export interface FanOptions extends Omit<SubmitOptions, "key" | "task"> {
  /** Tasks at a time; default 64. */
  atOnce?: number;
}

/** Hub and spoke: the same capability for each input; outputs in the order of the inputs. */
export async function fanOut<C extends Capability>(
  acts: Acts,
  capability: C,
  inputs: readonly InputOf<C>[],
  { atOnce = 64, ...options }: FanOptions = {},
): Promise<OutputOf<C>[]> {
  if (!(atOnce >= 1)) throw new ParleyError("E_SCHEMA", `atOnce must be 1 or more, not ${atOnce}`);
  const outputs: OutputOf<C>[] = [];
  for (let at = 0; at < inputs.length; at += atOnce) {
    const branches = inputs
      .slice(at, at + atOnce)
      .map((input) => (own: DurableActs) => ask(own, capability, input, options));
    outputs.push(...((await acts.all(branches)) as OutputOf<C>[]));
  }
  return outputs;
}

/** Hierarchy: the parts done by others, who may split theirs again, and put together. */
export async function delegate<C extends Capability, Out>(
  acts: Acts,
  capability: C,
  parts: readonly InputOf<C>[],
  combine: (outputs: OutputOf<C>[]) => Out,
  options: FanOptions = {},
): Promise<Out> {
  return combine(await fanOut(acts, capability, parts, options));
}

/** Map-reduce: `map` for each item, then their outputs two by two into one. */
export async function mapReduce<C extends Capability>(
  acts: Acts,
  map: C,
  items: readonly InputOf<C>[],
  reduce: (a: OutputOf<C>, b: OutputOf<C>) => OutputOf<C>,
  options: FanOptions = {},
): Promise<OutputOf<C> | undefined> {
  const [first, ...rest] = await fanOut(acts, map, items, options);
  return first === undefined ? undefined : rest.reduce(reduce, first);
}

export interface Said {
  speaker: string;
  text: unknown;
}

export interface ChatOptions {
  /** By name: what takes `{ history, speaker }` and gives what it says. */
  speakers: Readonly<Record<string, Capability>>;
  /** Who speaks next; undefined ends it. Default: in turn. It must depend on the history alone. */
  next?: (history: readonly Said[]) => string | undefined;
  /** Most that is said; default three times round. */
  turns?: number;
}

/** Group chat: one speaks at a time and hears all that was said. */
export async function groupChat(
  acts: Acts,
  opening: unknown,
  options: ChatOptions,
): Promise<Said[]> {
  const names = Object.keys(options.speakers);
  const { turns = 3 * names.length, next } = options;
  const history: Said[] = [{ speaker: "", text: opening }];
  for (let turn = 0; turn < turns; turn++) {
    const speaker = next === undefined ? names[turn % names.length] : next(history);
    if (speaker === undefined) break;
    const capability = options.speakers[speaker];
    if (capability === undefined) {
      throw new ParleyError("E_NOT_FOUND", `nobody speaks as "${speaker}": ${names.join(", ")}`);
    }
    const text = await ask(acts, capability, { history, speaker } as never);
    history.push({ speaker, text });
  }
  return history;
}

export interface Ballot<T> {
  choice: T;
  /** Who gave it: the place in `voters`. */
  voter: number;
}

export interface VoteOptions<T> {
  /** Weight of each voter, in their order; default 1 each. */
  weights?: readonly number[];
  /** Share of all weight that the winner must reach, above 0 to 1; default more than half. */
  quorum?: number;
  /** When two choices are the same; default: the same JSON. */
  same?: (a: T, b: T) => boolean;
}

export interface VoteResult<T> {
  /** Undefined: no choice has the quorum. */
  choice: T | undefined;
  /** Share of the weight that it has, 0 to 1. */
  share: number;
  ballots: Ballot<T>[];
}

/** Vote and consensus: all are asked the same; one who fails has no vote. */
export async function vote<C extends Capability>(
  acts: Acts,
  voters: readonly C[],
  question: InputOf<C>,
  options: VoteOptions<OutputOf<C>> = {},
): Promise<VoteResult<OutputOf<C>>> {
  type T = OutputOf<C>;
  const given = await acts.all(
    voters.map((voter, i) => async (own: DurableActs) => {
      const handle = await own.submit(voter, question);
      const { state } = await handle.outcome();
      return state === "completed" ? { choice: await handle.result(), voter: i } : undefined;
    }),
  );
  return countVotes(given.filter((b) => b !== undefined) as Ballot<T>[], voters.length, options);
}

/** @param voters how many were asked: weight that was not given still counts for the quorum */
export function countVotes<T>(
  ballots: readonly Ballot<T>[],
  voters: number,
  { weights, quorum, same = sameJson }: VoteOptions<T> = {},
): VoteResult<T> {
  const weight = (voter: number) => weights?.[voter] ?? 1;
  let all = 0;
  for (let i = 0; i < voters; i++) all += weight(i);
  const piles: { choice: T; weight: number }[] = [];
  for (const { choice, voter } of ballots) {
    const pile = piles.find((p) => same(p.choice, choice));
    if (pile === undefined) piles.push({ choice, weight: weight(voter) });
    else pile.weight += weight(voter);
  }
  const [best] = piles.toSorted((a, b) => b.weight - a.weight);
  const share = best === undefined || all === 0 ? 0 : best.weight / all;
  const enough = quorum === undefined ? share > 0.5 : share >= quorum;
  return { choice: enough ? best?.choice : undefined, share, ballots: [...ballots] };
}

/** What an agent gives that would rather have another one go on. */
export interface Handoff {
  handoff: string;
  input: unknown;
}

/** Handoff: whoever has the task finishes it or names the next one, `hops` times at most. */
export async function handoff(
  acts: Acts,
  team: Readonly<Record<string, Capability>>,
  first: string,
  input: unknown,
  hops = 10,
): Promise<{ output: unknown; path: string[] }> {
  const path: string[] = [];
  let next: Handoff = { handoff: first, input };
  for (let hop = 0; hop <= hops; hop++) {
    const capability = team[next.handoff];
    if (capability === undefined) {
      const known = Object.keys(team).join(", ");
      throw new ParleyError("E_NOT_FOUND", `nobody is called "${next.handoff}": ${known}`);
    }
    path.push(next.handoff);
    const output: unknown = await ask(acts, capability, next.input as never);
    if (!isHandoff(output)) return { output, path };
    next = output;
  }
  throw new ParleyError("E_TERMINAL", `handed on ${hops} times: ${path.join(" → ")}`);
}

function isHandoff(value: unknown): value is Handoff {
  return typeof (value as Handoff | null)?.handoff === "string";
}

/** What a critic says: good enough, or what to do better. */
export interface Critique {
  good: boolean;
  advice?: unknown;
}

/** Critic loop: made, judged, made again with the advice, until it is good or `rounds` are over. */
export async function criticLoop<M extends Capability>(
  acts: Acts,
  maker: M,
  critic: Capability,
  task: unknown,
  rounds = 5,
): Promise<{ work: OutputOf<M>; good: boolean; rounds: number }> {
  let advice: unknown;
  for (let round = 1; ; round++) {
    const work = await ask(acts, maker, { task, advice } as never);
    const said = (await ask(acts, critic, { task, work } as never)) as Critique;
    if (said.good || round >= rounds) return { work, good: said.good, rounds: round };
    advice = said.advice;
  }
}
