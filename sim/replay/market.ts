// A recorded market under another policy: each award of the live mesh holds the bids that its
// initiator saw, so the choice can be made again. Who was free and what was asked stay as they
// were: it tells what another policy would have chosen, not what would have come of that later.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { DumpAward, DumpLine } from "../../check/dump-file.ts";
import type { SeenBid } from "../../contracts/index.ts";
import { NAMED, reachOf, recompute } from "../../mesh/core/policy.ts";
import { gini } from "../metrics.ts";
import { WorkloadError } from "../workload/task.ts";

export interface Choice {
  task: string;
  epoch: number;
  policy: string;
  chosen: string;
  leftMs: number;
  /** Of those that were to be had. */
  offers: readonly SeenBid[];
}

export interface MarketFigures {
  policy: string;
  /** Choices that fall on somebody else than the recorded one. */
  changed: number;
  /** Of the chosen bids: mean price, and mean time to the end as the initiator believed it, ms. */
  cost: number;
  finishMs: number;
  /** Of the work given to each agent that ever bid, believed ms. */
  giniOfWork: number;
}

export interface Replay {
  choices: number;
  /** Awards without a choice: one bid, or none (directed). */
  forced: number;
  agents: number;
  recorded: MarketFigures;
  replayed: MarketFigures[];
}

/** @param path a folder that a chaos run kept, or its dump.ndjson. @throws WorkloadError */
export async function readMarket(path: string): Promise<Choice[]> {
  const known = await stat(path).catch(() => undefined);
  if (known === undefined)
    throw new WorkloadError(
      "unreadable",
      path,
      "is not there; record a market with: parley task dump FILE",
    );
  const file = known.isDirectory() ? join(path, "dump.ndjson") : path;
  if (known.isDirectory() && !(await stat(file).catch(() => undefined))?.isFile()) {
    const todo = "is not there; give what parley task dump FILE has written";
    throw new WorkloadError("unreadable", file, todo);
  }
  const choices: Choice[] = [];
  let at = 0;
  const lines = createInterface({ input: createReadStream(file) });
  for await (const text of lines) {
    at++;
    let line: DumpLine;
    try {
      line = JSON.parse(text) as DumpLine;
    } catch {
      throw new WorkloadError(
        "row",
        `${file}:${at}`,
        "is no JSON; give what parley task dump has written",
      );
    }
    const { award } = line;
    if (line.kind !== "contract" || award?.offers === undefined) continue;
    choices.push({
      task: line.task,
      epoch: award.e,
      policy: award.policy,
      chosen: award.to,
      leftMs: award.leftMs ?? Number.POSITIVE_INFINITY,
      offers: available(award, award.offers),
    });
  }
  if (choices.length > 0) return choices;
  const todo = "holds no award with its bids; record a market with: parley task dump FILE";
  throw new WorkloadError("empty", file, todo);
}

/**
 * Without those who had been given other work, and those who were better by the award's own policy:
 * they were passed over because they declined, or their bids had run out.
 */
function available(award: DumpAward, offers: readonly SeenBid[]): SeenBid[] {
  const scoreOf = (from: string) => award.scores?.[award.bids.indexOf(from)];
  const mine = scoreOf(award.to);
  return offers.filter(({ from }) => {
    if (from === award.to) return true;
    if (award.spoken?.includes(from)) return false;
    const score = scoreOf(from);
    return mine === undefined || score === undefined || mine <= reachOf(score);
  });
}

export function replay(choices: readonly Choice[], policies: readonly string[]): Replay {
  const open = choices.filter((c) => c.offers.length > 1);
  const agents = new Set(choices.flatMap((c) => c.offers.map((o) => o.from)));
  const recorded = open.map((c) => c.chosen);
  return {
    choices: open.length,
    forced: choices.length - open.length,
    agents: agents.size,
    recorded: figures("recorded", open, recorded, recorded, agents),
    replayed: policies.map((policy) => {
      const chosen = open.map((c) => choose(c, policy));
      return figures(policy, open, chosen, recorded, agents);
    }),
  };
}

/** The best score; of near equals the recorded one, since nobody knows how the draw would fall. */
function choose(c: Choice, name: string): string {
  const policy = NAMED[name];
  if (policy === undefined || name === c.policy) return c.chosen;
  const facts = { leftMs: c.leftMs, budget: undefined, weights: undefined };
  const scores = recompute(c.offers, policy, facts);
  const best = scores.indexOf(Math.min(...scores));
  const mine = scores[c.offers.findIndex((o) => o.from === c.chosen)];
  if (mine !== undefined && mine <= reachOf(scores[best] as number)) return c.chosen;
  return c.offers[best]?.from ?? c.chosen;
}

function figures(
  policy: string,
  choices: readonly Choice[],
  chosen: readonly string[],
  recorded: readonly string[],
  agents: ReadonlySet<string>,
): MarketFigures {
  const work = new Map([...agents].map((agent) => [agent, 0]));
  let [cost, finish, found] = [0, 0, 0];
  choices.forEach((c, i) => {
    const offer = c.offers.find((o) => o.from === chosen[i]);
    if (offer === undefined) return;
    found++;
    cost += offer.cost;
    finish += offer.startMs + offer.calibratedMs;
    work.set(offer.from, (work.get(offer.from) ?? 0) + offer.calibratedMs);
  });
  const n = Math.max(1, found);
  return {
    policy,
    changed: chosen.filter((agent, i) => agent !== recorded[i]).length,
    cost: cost / n,
    finishMs: finish / n,
    giniOfWork: gini([...work.values()]),
  };
}
