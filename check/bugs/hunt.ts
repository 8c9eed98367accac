// Hunts planted bugs: plays the arena with one planted and asks the checker what it sees.
//   node check/bugs/hunt.ts --bug NAME|all|none [--at-once N] [--stories A,B] [--json]
// Exit code 0: every bug asked for was caught, and `none` was valid.
import { parseArgs } from "node:util";
import { BUGS, bugNamed } from "./list.ts";
import type { Bug } from "./patch.ts";
import { type Hunted, hunt } from "./run.ts";
import type { Story } from "./stories.ts";

const { values } = parseArgs({
  options: {
    bug: { type: "string", default: "all" },
    "at-once": { type: "string", default: "2" },
    stories: { type: "string" },
    json: { type: "boolean", default: false },
  },
});

const stories = values.stories?.split(",") as Story[] | undefined;
const found = await huntAll(wanted(values.bug), Number(values["at-once"]), (h) => {
  if (!values.json) console.log(text(h));
});
if (values.json) console.log(JSON.stringify(found));
const caught = found.filter((h) => h.caught).length;
if (!values.json) console.log(`${caught} passed, ${found.length - caught} failed`);
process.exitCode = caught === found.length ? 0 : 1;

function wanted(name: string): (Bug | undefined)[] {
  if (name === "none") return [undefined];
  if (name === "all") return [undefined, ...BUGS];
  return [bugNamed(name)];
}

async function huntAll(
  bugs: readonly (Bug | undefined)[],
  atOnce: number,
  tell: (hunted: Hunted) => void,
): Promise<Hunted[]> {
  const queue = [...bugs];
  const found: Hunted[] = [];
  const hunter = async () => {
    while (queue.length > 0) {
      const hunted = await hunt(queue.shift(), stories);
      found.push(hunted);
      tell(hunted);
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, atOnce) }, hunter));
  return found;
}

function text(h: Hunted): string {
  const verdict = h.caught ? (h.bug === "none" ? "valid" : "caught") : "NOT CAUGHT";
  const named = h.invariants.length === 0 ? h.verdict : h.invariants.join(" ");
  const head = `${h.bug.padEnd(28)} ${verdict.padEnd(10)} ${named.padEnd(20)} ${h.seconds.toFixed(1)} s`;
  const [first] = h.report.violations;
  const showing = first !== undefined && (h.bug === "none" || bugs1(values.bug));
  const broken = h.broken.map((b) => `\n  broke off: ${b}`).join("");
  return head + broken + (showing ? `\n${JSON.stringify(first, null, 2)}` : "");
}

function bugs1(name: string): boolean {
  return name !== "all";
}
