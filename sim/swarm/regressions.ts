// Runs that once broke a rule, kept by name: each with a line of what was found.
export interface Regression {
  name: string;
  /** What was wrong, and what was done. */
  history: string;
  /** As `parley sim virtual` takes it. */
  command: string;
}

export const REGRESSIONS: readonly Regression[] = [
  {
    name: "conflict with its own copy",
    history:
      "2026-11-21 seed 60: a doubled message conflicts with its own first copy, and where that " +
      "refusal came first the writer took its stored spec for refused (S16); a conflict is read " +
      "back now, whatever try it was",
    command:
      "parley sim virtual --agents 5 --tasks 67 --faults duplicate=0.041,reorder=0.031 " +
      "--pool uniform --utilisation 1.4 --time-scale 0.043 --agents-per-host 4 --initiators 3 " +
      "--seed 60",
  },
  {
    name: "claim refused that was stored",
    history: "2026-11-21 seed 6: the same of a contractor's claim, which then nobody worked on",
    command:
      "parley sim virtual --agents 17 --tasks 9 --policy fastest " +
      "--faults loss=0.013,duplicate=0.049,reorder=0.097 --utilisation 0.5 --time-scale 0.08 " +
      "--agents-per-host 1 --initiators 4 --seed 6",
  },
];
