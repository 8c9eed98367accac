// What others say, on an operator's terminal.
import { describe, expect, it } from "vitest";
import { lateSignal } from "../../cli/lib/late.ts";
import { harmless, oneLine } from "../../cli/lib/output.ts";
import { TIMER_MS_MAX } from "../../contracts/limits.ts";

describe("text of others", () => {
  it("shows what a terminal would obey; colours, tabs and line breaks stay", () => {
    expect(harmless("a\u001b]0;title\u0007b\u001b[2Jc\rd\u009b31m\u007f")).toBe(
      "a\\u001b]0;title\\u0007b\\u001b[2Jc\\u000dd\\u009b31m\\u007f",
    );
    expect(harmless("\u001b[1;31mred\u001b[0m\tand\nplain, ä 😀")).toBe(
      "\u001b[1;31mred\u001b[0m\tand\nplain, ä 😀",
    );
  });

  it("cannot pass for a line of ours", () => {
    expect(oneLine("no disk\n  code: E_NONE")).toBe("no disk\\n  code: E_NONE");
  });
});

describe("a wait that is longer than the platform's timers", () => {
  it("is not over at once", async () => {
    const long = lateSignal(TIMER_MS_MAX + 5_000);
    const short = lateSignal(1);
    await new Promise((resolve) => short.addEventListener("abort", resolve));
    expect(long.aborted).toBe(false);
  });
});
