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
  sim.hook("preSubcommand", refuseEarlyFlags);
}

/** Flags before the name of a command belong to the live simulation, and would be left out. */
function refuseEarlyFlags(sim: Command, sub: Command): void {
  const early = sim.options.find(
    (o) => o.long !== "--json" && sim.getOptionValueSource(o.attributeName()) === "cli",
  );
  if (early === undefined) return;
  sim.error(`error: ${early.long} comes before "${sub.name()}"; give it behind that word`);
}
