// Planning: from what is wanted and what is there, the graph of capabilities that makes it. A
// capability makes the properties of its output from the required ones of its input; each product
// comes from whoever has it earliest, what it needs included (a shortest way through an AND/OR
// graph: Knuth 1977, A Generalization of Dijkstra's Algorithm).
import type { Step, Workflow } from "../../../contracts/index.ts";
import { type Offer, propertiesOf, requiredOf } from "./offer.ts";

export interface PlanWish {
  name: string;
  /** Products wanted. */
  goals: readonly string[];
  /** Products that exist: parameters of the workflow. */
  have: readonly string[];
}

/** Why a goal cannot be had: what is missing, and who would make it if he had what he lacks. */
export interface Gap {
  product: string;
  makers: { capability: string; lacks: string[] }[];
}

export type Plan = { ok: true; workflow: Workflow } | { ok: false; gaps: Gap[] };

/** Of a capability that names no duration, ms. Guess; the same in a run's ranks. */
const DURATION_MS = 1_000;

interface Source {
  offer: Offer;
  /** When its product would be there, ms from the start, with agents enough. */
  atMs: number;
}

export function planWorkflow(wish: PlanWish, offers: Iterable<Offer>): Plan {
  const all = [...offers].toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const there = new Set(wish.have);
  const sources = earliest(all, there);
  const missing = wish.goals.filter((goal) => !there.has(goal) && !sources.has(goal));
  if (missing.length > 0) return { ok: false, gaps: gapsOf(missing, all, there, sources) };
  const steps = new Map<string, Step>();
  for (const goal of wish.goals) addSteps(goal, there, sources, steps);
  const ref = (product: string) => ({ $: refOf(product, there, sources) });
  const [only] = wish.goals;
  const lines = [...steps.values()];
  // Nothing to do: a definition has a step at least.
  if (lines.length === 0 && only !== undefined) return { ok: false, gaps: [] };
  return {
    ok: true,
    workflow: {
      v: 1,
      kind: "workflow",
      name: wish.name,
      version: "1.0.0",
      description: `makes ${wish.goals.join(", ")} from ${wish.have.join(", ") || "nothing"}`,
      steps: lines,
      output: Object.fromEntries(wish.goals.map((goal) => [goal, ref(goal)])),
    },
  };
}

function makes(offer: Offer): string[] {
  return Object.keys(propertiesOf(offer.output));
}

/** When each product can be there, and from whom; until nothing gets earlier any more. */
function earliest(offers: readonly Offer[], there: ReadonlySet<string>): Map<string, Source> {
  const sources = new Map<string, Source>();
  for (let better = true; better; ) {
    better = false;
    for (const offer of offers) {
      let readyMs = 0;
      for (const need of requiredOf(offer.input)) {
        if (there.has(need)) continue;
        readyMs = Math.max(readyMs, sources.get(need)?.atMs ?? Number.POSITIVE_INFINITY);
      }
      const atMs = readyMs + Math.max(1, offer.durationMs ?? DURATION_MS);
      if (atMs === Number.POSITIVE_INFINITY) continue;
      for (const product of makes(offer)) {
        if (there.has(product) || (sources.get(product)?.atMs ?? Infinity) <= atMs) continue;
        sources.set(product, { offer, atMs });
        better = true;
      }
    }
  }
  return sources;
}

function refOf(
  product: string,
  there: ReadonlySet<string>,
  sources: ReadonlyMap<string, Source>,
): string {
  if (there.has(product)) return `params.${product}`;
  return `steps.${sources.get(product)?.offer.name}.output.${product}`;
}

/** What comes first stands first. A capability is one step, whatever it makes. */
function addSteps(
  product: string,
  there: ReadonlySet<string>,
  sources: ReadonlyMap<string, Source>,
  steps: Map<string, Step>,
): void {
  const source = sources.get(product);
  if (there.has(product) || source === undefined || steps.has(source.offer.name)) return;
  const { name, input, durationMs } = source.offer;
  const needs = requiredOf(input);
  for (const need of needs) addSteps(need, there, sources, steps);
  steps.set(name, {
    id: name,
    capability: name,
    input: Object.fromEntries(needs.map((need) => [need, { $: refOf(need, there, sources) }])),
    ...(durationMs === undefined ? {} : { durationMs }),
  });
}

/** Down to what nobody makes. */
function gapsOf(
  missing: readonly string[],
  offers: readonly Offer[],
  there: ReadonlySet<string>,
  sources: ReadonlyMap<string, Source>,
): Gap[] {
  const gaps = new Map<string, Gap>();
  const queue = [...missing];
  for (let product = queue.shift(); product !== undefined; product = queue.shift()) {
    if (gaps.has(product)) continue;
    const wanted = product;
    const makers = offers
      .filter((offer) => makes(offer).includes(wanted))
      .map((offer) => ({
        capability: offer.name,
        lacks: requiredOf(offer.input).filter((need) => !there.has(need) && !sources.has(need)),
      }));
    gaps.set(product, { product, makers });
    queue.push(...makers.flatMap((maker) => maker.lacks));
  }
  return [...gaps.values()];
}
