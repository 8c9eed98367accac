// A recorded market under another policy: each award of the live mesh holds the bids that its
// initiator saw, so the choice can be made again. Who was free and what was asked stay as they
// were: it tells what another policy would have chosen, not what would have come of that later.
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { gunzipSync } from "node:zlib";
import { z } from "zod";
import { type SeenBid, SeenBidSchema } from "../../contracts/index.ts";
import { NAMED, reachOf, recompute } from "../../mesh/core/policy.ts";
import { gini } from "../metrics.ts";
import { WorkloadError } from "../workload/task.ts";

/** What counts of a line: see check/dump-file.ts. */
const LineSchema = z.object({
  kind: z.string(),
  task: z.string(),
  award: z
    .object({
      e: z.number(),
      policy: z.string(),
      to: z.string(),
      bids: z.array(z.string()),
      spoken: z.array(z.string()).optional(),
      // What is without end is null in JSON.
      scores: z.array(z.number().nullable()).optional(),
      leftMs: z.number().nullish(),
      offers: z.array(SeenBidSchema).optional(),
    })
    .optional(),
});

type RecordedAward = NonNullable<z.infer<typeof LineSchema>["award"]>;

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
  for await (const text of createInterface({ input: await plain(file) })) {
    at++;
    if (text.trim() !== "") choices.push(...choicesOf(text, `${file}:${at}`));
  }
  if (choices.length > 0) return choices;
  const todo = "holds no award with its bids; record a market with: parley task dump FILE";
  throw new WorkloadError("empty", file, todo);
}

/** Its text, unpacked. @throws WorkloadError where it is packed and broken */
async function plain(file: string): Promise<Readable> {
  if (!/\.gz$/i.test(file)) return createReadStream(file, "utf8");
  try {
    return Readable.from(gunzipSync(await readFile(file)).toString());
  } catch (cause) {
    throw new WorkloadError("unreadable", file, `is no gzip (${(cause as Error).message})`);
  }
}

/** Of a line: a contract's choice, or none. @throws WorkloadError */
function choicesOf(text: string, place: string): Choice[] {
  const todo = "give what parley task dump has written";
  let line: unknown;
  try {
    line = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch {
    throw new WorkloadError("row", place, `is no JSON; ${todo}`);
  }
  const parsed = LineSchema.safeParse(line);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const what = `${issue?.path.join(".") || "the line"}: ${issue?.message}`;
    throw new WorkloadError("row", place, `is no line of a dump (${what}); ${todo}`);
  }
  const { kind, task, award } = parsed.data;
  if (kind !== "contract" || award?.offers === undefined) return [];
  const { e: epoch, policy, to: chosen } = award;
  const leftMs = award.leftMs ?? Number.POSITIVE_INFINITY;
  return [{ task, epoch, policy, chosen, leftMs, offers: available(award, award.offers) }];
}

/**
 * Without those who had been given other work, and those who were better by the award's own policy:
 * they were passed over because they declined, or their bids had run out.
 */
function available(award: RecordedAward, offers: readonly SeenBid[]): SeenBid[] {
  const scoreOf = (from: string) => award.scores?.[award.bids.indexOf(from)];
  const mine = scoreOf(award.to);
  return offers.filter(({ from }) => {
    if (from === award.to) return true;
    if (award.spoken?.includes(from)) return false;
    const score = scoreOf(from);
    return mine == null || score == null || mine <= reachOf(score);
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
