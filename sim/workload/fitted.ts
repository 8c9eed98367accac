// Parameters of the generator, fitted to the Azure LLM inference trace 2023, conversation part
// (AzurePublicDataset, CC BY 4.0; Patel et al., "Splitwise", ISCA 2024). Method, origin of each
// number and how well it fits: docs/workload.md.

/** Mean rate of arrivals, per second. Origin: 19,366 requests in 3,501.7 s. */
export const ARRIVALS_PER_SECOND = 5.53;

/** A source of change: spread of the logarithm that it moves, and its memory, s. */
export interface Modulation {
  readonly sigma: number;
  readonly memorySeconds: number;
}

// Origin of both: least squares on the index of dispersion of counts, windows of 0.1 to 450 s.
/** The hump: minutes. Moves the rate and, the other way, the share of long answers. */
export const SLOW: Modulation = { sigma: 0.242, memorySeconds: 443 };
/** Clumps: about a second. Moves the rate alone. */
export const FAST: Modulation = { sigma: 0.17, memorySeconds: 0.9 };

/**
 * Share of long answers: logistic(CENTRE + SPREAD x process), where the process has the memory of
 * SLOW and this correlation with it. Origin: mean, variance and correlation of minute shares.
 */
export const LONG_SHARE_CENTRE = -0.594;
export const LONG_SHARE_SPREAD = 0.86;
export const LONG_SHARE_CORRELATION = -0.92;

/** Observed ranges; draws outside are drawn again. */
export const CONTEXT_RANGE = [2, 14_050] as const;
export const SHORT_ANSWER_RANGE = [7, 250] as const;
export const LONG_ANSWER_RANGE = [251, 1_000] as const;

/**
 * One bivariate lognormal: weight; mean and spread of ln(context tokens); mean and spread of
 * ln(generated tokens); correlation of the two logarithms.
 */
export type Component = readonly [number, number, number, number, number, number];

// Origin of both tables: expectation-maximisation from several starts, largest weight first.
/** Answers of at most 250 tokens (66 per cent of the trace). */
export const SHORT_ANSWERS: readonly Component[] = [
  [0.3641, 5.988, 0.04, 4.539, 0.253, 0.43],
  [0.177, 7.207, 0.593, 4.294, 0.381, -0.27],
  [0.1124, 8.316, 0.01, 4.008, 0.447, 0.04],
  [0.084, 7.687, 0.436, 4.707, 0.264, 0.18],
  [0.0816, 5.276, 0.112, 4.745, 0.401, -0.53],
  [0.0614, 5.318, 0.027, 5.225, 0.128, -0.11],
  [0.0485, 7.184, 0.01, 5.165, 0.177, 0.05],
  [0.0323, 3.538, 0.989, 4.946, 0.301, 0.19],
  [0.0192, 5.653, 0.135, 2.798, 0.121, 0.98],
  [0.0095, 4.701, 0.128, 2.572, 0.136, -0.98],
  [0.0089, 5.371, 0.509, 4.317, 0.75, -0.76],
  [0.0012, 4.527, 0.067, 3.122, 0.138, -0.88],
];
/** Answers of more than 250 tokens. */
export const LONG_ANSWERS: readonly Component[] = [
  [0.4273, 6.989, 0.081, 6.021, 0.051, -0.13],
  [0.3987, 6.964, 0.049, 5.986, 0.035, 0.03],
  [0.1315, 6.976, 0.054, 6.245, 0.13, -0.03],
  [0.0268, 7.1, 0.085, 6.258, 0.418, -0.72],
  [0.0087, 7.113, 1.083, 5.968, 0.297, 0.28],
  [0.007, 5.198, 0.01, 5.836, 0.44, 0.0],
];
