// Plays stories on a server that is already there, and leaves the history of it in a directory.
// Started in a process of its own with `--import ./register.ts`, so that a bug can be planted.
//   node --import ./check/bugs/register.ts check/bugs/arena.ts DIR HOME URL STORY,…
import { join } from "node:path";
import { TERMINAL_STATES } from "../../contracts/index.ts";
import { openHome } from "../../mesh/nats/identity/home.ts";
import { Stage } from "./stage.ts";
import { STORIES, type Story } from "./stories.ts";

/** Time for what is still open when the last story is told, ms. */
const SETTLE_MS = 1_500;

const TERMINAL: ReadonlySet<string> = new Set(TERMINAL_STATES);

const [dir = "", homeDir = "", url = "", names = ""] = process.argv.slice(2);
const stories = names.split(",") as Story[];

const broken: string[] = [];
const cast = join(homeDir, "cast.json");
const stage = new Stage({ dir, cast, home: await openHome(homeDir), url });
stage.ina = await stage.player("ina", "initiator");
stage.sue = await stage.player("sue", "submitter");
const last = "adoptions" satisfies Story;
await Promise.all(stories.filter((name) => name !== last).map(play));
if (stories.includes(last)) await play(last);
const ended = () => stage.trackers.every((t) => TERMINAL.has(t.state));
await stage.until(ended, SETTLE_MS);
await stage.close();
process.stdout.write(`${JSON.stringify({ submitted: stage.trackers.length, broken })}\n`);
process.exit(0);

/** With a bug planted a story may break off; the judge has what came before. */
async function play(name: Story): Promise<void> {
  try {
    await STORIES[name](stage);
  } catch (error) {
    broken.push(`${name}: ${String(error)}`);
  }
}
