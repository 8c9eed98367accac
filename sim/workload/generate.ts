// Tasks like those of the recorded trace, when the trace is not there: endless, from a seed.
// Arrivals are a Poisson process whose rate wanders (a Cox process); sizes are a mixture of
// bivariate lognormals whose weights wander with it. Fitted parameters: fitted.ts.
import { createPrng, type Prng } from "../../mesh/core/prng.ts";
import { exponential, normal, weightedIndex } from "../draw.ts";
import * as fitted from "./fitted.ts";
import { CAPABILITY_DEFAULT, serviceMsOf, WorkloadError, type WorkloadTask } from "./task.ts";

export interface GenerateOptions {
  /** How many tasks, at least 1. A longer workload begins with the shorter one of its seed. */
  readonly count: number;
  readonly seed: string | number;
  /** Default `llm-chat`. */
  readonly capability?: string;
}

/** The rate is constant for this long, s: a ninth of the shortest memory. */
const STEP_SECONDS = 0.1;
/** Draws outside the observed range before the nearest edge is taken. Origin: guess. */
const REDRAWS_MAX = 100;

/** Throws WorkloadError when the count is not a whole number of at least 1. */
export function generate(options: GenerateOptions): WorkloadTask[] {
  const { count, seed, capability = CAPABILITY_DEFAULT } = options;
  if (!Number.isInteger(count) || count < 1) {
    throw new WorkloadError("option", `tasks ${count}`, "give a whole number of at least 1");
  }
  const prng = createPrng(seed).fork("workload");
  const arrivals = new Arrivals(prng.fork("arrivals"));
  const sizes = prng.fork("sizes");
  const tasks: WorkloadTask[] = [];
  let firstSeconds: number | undefined;
  while (tasks.length < count) {
    const atSeconds = arrivals.next();
    firstSeconds ??= atSeconds;
    const [inputTokens, outputTokens] = drawSize(sizes, arrivals.longShare());
    tasks.push({
      id: `t${String(tasks.length + 1).padStart(6, "0")}`,
      arriveMs: (atSeconds - firstSeconds) * 1_000,
      serviceMs: serviceMsOf(inputTokens, outputTokens),
      capability,
      inputTokens,
      outputTokens,
    });
  }
  return tasks;
}

/** A stationary process with mean 0, variance 1 and exponentially fading memory (AR(1)). */
class Wandering {
  readonly #prng: Prng;
  readonly #keep: number;
  value: number;

  constructor(prng: Prng, memorySeconds: number) {
    this.#prng = prng;
    this.#keep = Math.exp(-STEP_SECONDS / memorySeconds);
    this.value = normal(prng);
  }

  step(): void {
    const fresh = Math.sqrt(1 - this.#keep * this.#keep);
    this.value = this.#keep * this.value + fresh * normal(this.#prng);
  }
}

class Arrivals {
  readonly #clock: Prng;
  readonly #slow: Wandering;
  readonly #fast: Wandering;
  readonly #mix: Wandering;
  #stepsDone = 0;
  /** Time inside the current step that is already used, s. */
  #usedSeconds = 0;

  constructor(prng: Prng) {
    this.#clock = prng.fork("clock");
    this.#slow = new Wandering(prng.fork("slow"), fitted.SLOW.memorySeconds);
    this.#fast = new Wandering(prng.fork("fast"), fitted.FAST.memorySeconds);
    this.#mix = new Wandering(prng.fork("mix"), fitted.SLOW.memorySeconds);
  }

  /** Time of the next arrival, s: where the rate, added up over time, has grown by a draw. */
  next(): number {
    let wanted = exponential(this.#clock);
    for (;;) {
      const rate = this.#rate();
      const left = (STEP_SECONDS - this.#usedSeconds) * rate;
      if (wanted < left) {
        this.#usedSeconds += wanted / rate;
        return this.#stepsDone * STEP_SECONDS + this.#usedSeconds;
      }
      wanted -= left;
      this.#stepsDone += 1;
      this.#usedSeconds = 0;
      for (const process of [this.#slow, this.#fast, this.#mix]) process.step();
    }
  }

  /** Share of long answers now, in (0, 1). */
  longShare(): number {
    const shared = fitted.LONG_SHARE_CORRELATION;
    const own = Math.sqrt(1 - shared * shared);
    const process = shared * this.#slow.value + own * this.#mix.value;
    const logit = fitted.LONG_SHARE_CENTRE + fitted.LONG_SHARE_SPREAD * process;
    return 1 / (1 + Math.exp(-logit));
  }

  #rate(): number {
    const { SLOW, FAST, ARRIVALS_PER_SECOND } = fitted;
    const log = SLOW.sigma * this.#slow.value + FAST.sigma * this.#fast.value;
    // Half the variance is taken off, so that the mean of the rate is the fitted one.
    return ARRIVALS_PER_SECOND * Math.exp(log - (SLOW.sigma ** 2 + FAST.sigma ** 2) / 2);
  }
}

function drawSize(prng: Prng, longShare: number): [input: number, output: number] {
  const long = prng.next() < longShare;
  const components = long ? fitted.LONG_ANSWERS : fitted.SHORT_ANSWERS;
  const outputRange = long ? fitted.LONG_ANSWER_RANGE : fitted.SHORT_ANSWER_RANGE;
  let input = 0;
  let output = 0;
  for (let draw = 0; draw < REDRAWS_MAX; draw++) {
    const chosen =
      components[
        weightedIndex(
          prng,
          components.map(([weight]) => weight),
        )
      ];
    const [, inputMean, inputSpread, outputMean, outputSpread, correlation] =
      chosen as fitted.Component;
    const u = normal(prng);
    const v = correlation * u + Math.sqrt(1 - correlation * correlation) * normal(prng);
    input = Math.round(Math.exp(inputMean + inputSpread * u));
    output = Math.round(Math.exp(outputMean + outputSpread * v));
    if (within(input, fitted.CONTEXT_RANGE) && within(output, outputRange)) break;
  }
  return [clamp(input, fitted.CONTEXT_RANGE), clamp(output, outputRange)];
}

function within(value: number, [low, high]: readonly [number, number]): boolean {
  return value >= low && value <= high;
}

function clamp(value: number, [low, high]: readonly [number, number]): number {
  return Math.min(Math.max(value, low), high);
}
