// The budget of one attempt: what it spends itself, and what its sub-tasks may still spend.
//
// Invariants
//   B1  Spent plus promised never exceeds the budget by what a sub-task was granted.
//       But for what undoes: that has to be done, whatever was spent.
//   B2  A promise is settled once, by what the sub-task says that it cost, at most what it was
//       granted.

export class Purse {
  readonly #budget: number | undefined;
  #own: number | undefined;
  #subTasks = 0;
  #promised = 0;

  /** @param budget of the task; undefined: without limit */
  constructor(budget: number | undefined) {
    this.#budget = budget;
  }

  /** Adds to what the attempt itself has cost. */
  spend(amount: number): void {
    this.#own = (this.#own ?? 0) + amount;
  }

  get left(): number | undefined {
    if (this.#budget === undefined) return undefined;
    return Math.max(0, this.#budget - (this.#own ?? 0) - this.#subTasks - this.#promised);
  }

  /**
   * Grants a sub-task its budget: what it asked for, or all that is left. Whoever runs several at
   * a time divides the budget himself.
   * @param undoes it is granted up to the whole budget
   */
  promise(
    wanted: number | undefined,
    undoes = false,
  ): { budget: number | undefined; settle(cost: number): void } {
    const left = undoes ? this.#budget : this.left;
    const budget = left === undefined ? wanted : Math.min(wanted ?? left, left);
    const held = left === undefined || undoes ? 0 : (budget ?? 0);
    this.#promised += held;
    let open = true;
    return {
      budget,
      settle: (cost) => {
        if (!open) return;
        open = false;
        this.#promised -= held;
        this.#subTasks += Math.min(cost, budget ?? cost);
      },
    };
  }

  /** What the attempt cost in all; `price` stands for its own part where it said nothing. */
  total(price: number | undefined): number | undefined {
    const own = this.#own ?? price;
    if (own === undefined && this.#subTasks === 0) return undefined;
    return (own ?? 0) + this.#subTasks;
  }
}
