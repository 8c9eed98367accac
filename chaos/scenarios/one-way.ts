// F7: one direction only is cut: a contractor that hears and cannot speak, and one that speaks
// and cannot hear.
import type { Scenario } from "../scenario.ts";
import { runCuts } from "./cut.ts";

export const scenario: Scenario = {
  name: "one-way",
  about: "links of contractor processes and of an initiator cut in one direction",
  bars: ["F7"],
  run: (c) => runCuts(c, [{ cut: "up" }, { cut: "down" }], "F7"),
};
