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
  {
    name: "cancel after the outcome",
    history:
      "2026-11-21 seed 259: a cancel was refused by the outcome, the look at the task was lost " +
      "on its way, and the cancel was written again behind the outcome (S2); a refused cancel " +
      "is not written again before the task was seen",
    command:
      "parley sim virtual --agents 16 --tasks 34 --faults " +
      "crash=85,initiatorCrash=26,cut=50," +
      "loss=0.013,reorder=0.064,replay=0.06,cancel=0.14,insider=0.17 " +
      "--utilisation 1.1 --time-scale 0.21 --agents-per-host 1 --initiators 2 --seed " +
      "259",
  },
  {
    name: "waits its turn after a loss",
    history:
      "2026-11-21 seed 50105: a task whose contract was lost queued behind others, and the " +
      "judge, who could not see that, missed its next call (L2); entering the row is noted now",
    command:
      "parley sim virtual --agents 19 --tasks 51 --faults " +
      "crash=40,brokerRestart=15,loss=0.018,duplicate=0.059,reorder=0.065,replay=0.055," +
      "poison=0.068,exclude=0.19,hasty=0.26 --pool uniform --utilisation 0.37 " +
      "--time-scale 0.052 --agents-per-host 6 --initiators 3 --seed 50105",
  },
  {
    name: "refused by a copy of itself, unread",
    history:
      "2026-11-21 seed 70054: a doubled spec was stored and its copy refused; the look at what " +
      "is stored was lost, and the refusal believed (S16); the look is repeated now",
    command:
      "parley sim virtual --agents 18 --tasks 73 --policy fastest --faults " +
      "loss=0.017,duplicate=0.051,reorder=0.065,insider=0.13 --utilisation 1.4 " +
      "--time-scale 0.032 --agents-per-host 2 --initiators 3 --seed 70054",
  },
  {
    name: "refused by a copy of itself, the server gone",
    history:
      "2026-11-22 seed 120144: the same of an outcome, whose second look fell into a restart of " +
      "the server; a look without a link is not counted now",
    command:
      "parley sim virtual --agents 18 --tasks 81 --policy cheapest --faults " +
      "oneWay=15,brokerRestart=17,loss=0.0045,duplicate=0.064,reorder=0.085,replay=0.029 " +
      "--pool uniform --utilisation 0.31 --time-scale 0.08 --agents-per-host 2 " +
      "--initiators 4 --seed 120144",
  },
  {
    name: "waits for an answer that was lost",
    history:
      "2026-11-22 seed 130381: somebody's false outcome came before that of a task at its " +
      "deadline, the look at the task was lost, and it ended 6.5 s late (L1); a silent read is " +
      "asked again after 1 s now",
    command:
      "parley sim virtual --agents 12 --tasks 78 --policy fastest --faults " +
      "loss=0.017,duplicate=0.04,reorder=0.089,replay=0.043,hasty=0.18,insider=0.13 " +
      "--pool uniform --utilisation 0.76 --time-scale 0.18 --agents-per-host 3 " +
      "--initiators 3 --seed 130381",
  },
  {
    name: "a lost call after many rounds",
    history:
      "2026-11-22 seed 210122: the window of a call doubles with every round, so that after " +
      "seven a call that was lost held its task for 38 s (S13 at the end of the run); a window " +
      "is not extended by more than a second at a time now",
    command:
      "parley sim virtual --agents 13 --tasks 54 --policy hybrid --faults " +
      "crash=44,cut=57,loss=0.0059,duplicate=0.063,reorder=0.062,replay=0.045,fail=0.2 " +
      "--utilisation 0.67 --time-scale 0.076 --agents-per-host 4 --initiators 1 --signing on " +
      "--seed 210122",
  },
  {
    name: "a link that breaks while a process starts",
    history:
      "2026-11-22 seed 432173: the only host of agents was started half a second before its " +
      "link was cut, its start failed, and it stood there and served nothing (S13); a start " +
      "waits for the link to come back now",
    command:
      "parley sim virtual --agents 2 --tasks 93 --faults " +
      "crash=24,initiatorCrash=26,pause=36,oneWay=34 --utilisation 0.61 --time-scale 0.15 " +
      "--agents-per-host 2 --initiators 4 --seed 432173",
  },
  {
    name: "the end of a dead connection holds nobody up",
    history:
      "2026-11-22 seed 435609: in the model, what a client sent at the end of one connection " +
      "held up the next for as long as the link had been cut, so that the only initiator came " +
      "back 8 s after its link (L1); each connection has its own order now",
    command:
      "parley sim virtual --agents 15 --tasks 68 --policy cheapest --faults " +
      "crash=78,cut=45,hasty=0.2 --utilisation 0.76 --time-scale 0.21 --agents-per-host 6 " +
      "--initiators 1 --seed 435609",
  },
  {
    name: "a server that speaks to a dead connection holds nobody up",
    history:
      "2026-11-23 seed 451070: in the model, what the server still sent to a connection that its " +
      "client had given up held up the next one after the link was mended, by 12 s (L1)",
    command:
      "parley sim virtual --agents 4 --tasks 102 --policy fastest --faults cut=5.6,needs=0.036 " +
      "--pool uniform --utilisation 0.94 --time-scale 0.2 --agents-per-host 2 --initiators 1 " +
      "--seed 451070",
  },
  {
    name: "the bids by which the others were measured",
    history:
      "2026-11-23 seed 450269: an award told of the first 16 of 17 bids; the soonest, left out " +
      "because its agent had failed the task, was what the scores were measured by, so that they " +
      "came out otherwise (S7); the extremes are among those told now",
    command:
      "parley sim virtual --agents 38 --tasks 64 --faults insider=0.11,needs=0.11 " +
      "--utilisation 0.53 --time-scale 0.074 --agents-per-host 1 --initiators 4 --seed 450269",
  },
  {
    name: "canceled blind after a restart",
    history:
      "2026-11-23 seed 457252, the first with submitters that die: one came back, submitted its " +
      "task again under its id and canceled it; nobody could be asked, and the cancel was held " +
      "to what stood there, the outcome (S2); what was never seen is looked at first now",
    command:
      "parley sim virtual --agents 2 --tasks 96 --policy deadline --faults " +
      "initiatorCrash=20,cancel=0.072,submitter=46 --utilisation 0.31 --time-scale 0.18 " +
      "--agents-per-host 1 --initiators 1 --seed 457252",
  },
  {
    name: "told late, since an author could not be asked",
    history:
      "2026-11-23 seed 459256: an outcome whose author's key could not be had, because the link " +
      "was just coming back, was dropped, and the submitter learned of it up to 15 s later; it " +
      "looks at once now, and again where that tells nothing",
    command:
      "parley sim virtual --agents 19 --tasks 88 --policy hybrid --faults submitter=54 " +
      "--pool uniform --utilisation 1.2 --time-scale 0.085 --agents-per-host 3 --initiators 1 " +
      "--signing on --seed 459256",
  },
  {
    name: "told of a result of a contract that was over",
    history:
      "2026-11-23 seed 464873: an insider's late result, held to the last revision, was believed " +
      "by a submitter to whom the author of the contract between was not known; nothing counts " +
      "under a contract behind a record that does not count",
    command:
      "parley sim virtual --agents 29 --tasks 105 --policy fastest --faults " +
      "pause=30,insider=0.081,submitter=44 --utilisation 0.95 --time-scale 0.046 " +
      "--agents-per-host 8 --initiators 2 --seed 464873",
  },
  {
    name: "canceled behind an end in doubt",
    history:
      "2026-11-23 seed 460489: of a contract whose award's author could not be asked the end did " +
      "not count either, and a cancel was written behind it (S2); an end in doubt is looked at " +
      "again first",
    command:
      "parley sim virtual --agents 37 --tasks 120 --faults " +
      "initiatorCrash=39,loss=0.012,duplicate=0.05,reorder=0.059,cancel=0.18,insider=0.17 " +
      "--pool uniform --utilisation 0.79 --time-scale 0.071 --agents-per-host 5 --initiators 3 " +
      "--seed 460489",
  },
];
