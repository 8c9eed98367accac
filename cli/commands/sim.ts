// `parley sim` belongs to the simulator; only its place among the commands is decided here.
import type { Command } from "commander";

export async function registerSim(parley: Command): Promise<void> {
  const { simCommand } = await import("../../sim/live/main.ts");
  simCommand(parley);
}
