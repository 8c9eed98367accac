import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ProgressLine, type Screen } from "../../../sim/live/progress.ts";

const state = { submitted: 30, of: 90, ended: 10, running: 15, agents: 20 };

function screen(isTTY: boolean, columns = 200): Screen & { text: string } {
  return {
    isTTY,
    columns,
    text: "",
    write(text: string) {
      this.text += text;
    },
  };
}

beforeEach(
  () => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] }),
);
afterEach(() => void vi.useRealTimers());

test("a terminal sees one line that is rewritten, and lines that stay above it", () => {
  const terminal = screen(true);
  const line = new ProgressLine(terminal, { TERM: "xterm" });
  line.start(() => state);
  vi.advanceTimersByTime(250);
  line.say("something happened");
  line.stop();
  const shown = "submitted 30 of 90  ended 10  running 15  waiting 5  agents 20";
  expect(terminal.text.split("\n")).toHaveLength(2);
  expect(terminal.text.match(new RegExp(shown, "g"))).toHaveLength(2);
  expect(terminal.text.endsWith("\r\u001b[Ksomething happened\n")).toBe(true);
});

test("the line is cut to the width, since a wrapped one could not be rewritten", () => {
  const terminal = screen(true, 20);
  const line = new ProgressLine(terminal, {});
  line.start(() => state);
  vi.advanceTimersByTime(100);
  expect(terminal.text).toBe("\r\u001b[K  0 s  submitted 30");
  line.stop();
});

test.each([
  ["no terminal", false, {}],
  ["CI", true, { CI: "true" }],
  ["a terminal that cannot move its cursor", true, { TERM: "dumb" }],
])("%s: a plain line every two seconds", (_, isTTY, env) => {
  const log = screen(isTTY);
  const line = new ProgressLine(log, env);
  line.start(() => state);
  vi.advanceTimersByTime(5_000);
  line.stop();
  vi.advanceTimersByTime(5_000);
  expect(log.text.split("\n")).toHaveLength(3);
  expect(log.text).not.toContain("\u001b");
});
