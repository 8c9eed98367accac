// `parley sim` belongs to the simulator; only its place among the commands is decided here.
import type { Command } from "commander";

export async function registerSim(parley: Command): Promise<void> {
  const [{ simCommand }, { registerVirtual }, { registerCompare }, { registerReplay }] =
    await Promise.all([
      import("../../sim/live/main.ts"),
      import("../../sim/virtual/command.ts"),
      import("../../sim/compare/command.ts"),
      import("../../sim/replay/command.ts"),
    ]);
  const sim = simCommand(parley);
  registerVirtual(sim);
  registerCompare(sim);
  registerReplay(sim);
}
