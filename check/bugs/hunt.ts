// Hunts planted bugs: plays the arena with one planted and asks the checker what it sees.
//   node check/bugs/hunt.ts [--bug NAME|all|none] [--at-once N] [--stories A,B] [--json]
// Exit code 0: every bug asked for was caught, and `none` was valid.
import { parseArgs } from "node:util";
import type { Story } from "./stories.ts";
import { huntAndTell } from "./table.ts";

const { values } = parseArgs({
  options: {
    bug: { type: "string", default: "all" },
    "at-once": { type: "string", default: "2" },
    stories: { type: "string" },
    json: { type: "boolean", default: false },
  },
});

const good = await huntAndTell({
  bug: values.bug,
  atOnce: Number(values["at-once"]),
  stories: values.stories?.split(",") as Story[] | undefined,
  json: values.json,
  say: console.log,
});
process.exit(good ? 0 : 1);
