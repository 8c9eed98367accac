// Counting votes; the patterns themselves are run by the examples.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { countVotes } from "../../agent-sdk/index.ts";

const ballots = (...choices: string[]) => choices.map((choice, voter) => ({ choice, voter }));

describe("a vote", () => {
  test("goes to more than half", () => {
    expect(countVotes(ballots("a", "b", "a"), 3)).toMatchObject({ choice: "a", share: 2 / 3 });
    expect(countVotes(ballots("a", "b"), 2)).toMatchObject({ choice: undefined, share: 0.5 });
  });

  test("counts weights, and those who gave no vote", () => {
    expect(countVotes(ballots("a", "b"), 2, { weights: [3, 1] }).choice).toBe("a");
    expect(countVotes(ballots("a"), 3).choice).toBeUndefined();
  });

  test("needs the quorum that was asked for", () => {
    expect(countVotes(ballots("a", "a", "b"), 3, { quorum: 0.6 }).choice).toBe("a");
    expect(countVotes(ballots("a", "a", "b"), 3, { quorum: 0.7 }).choice).toBeUndefined();
  });

  test("does not depend on the order of the ballots", () => {
    const some = fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(some, (choices) => {
        const all = ballots(...choices);
        const { choice, share } = countVotes(all, all.length);
        const turned = countVotes(all.toReversed(), all.length);
        expect(turned.share).toBe(share);
        expect(turned.choice).toBe(choice);
      }),
    );
  });
});
