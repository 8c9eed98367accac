// Hunts several bugs at once and tells what came of it.
import { BUGS, bugNamed } from "./list.ts";
import type { Bug } from "./patch.ts";
import { type Hunted, hunt } from "./run.ts";
import type { Story } from "./stories.ts";

export interface HuntOptions {
  /** `all` (with `none` first), `none`, or a name. */
  bug: string;
  atOnce: number;
  /** Instead of the bug's own. */
  stories?: readonly Story[] | undefined;
  json: boolean;
  say(line: string): void;
}

/** @returns true when every bug asked for was caught, and `none` was valid */
export async function huntAndTell(o: HuntOptions): Promise<boolean> {
  const found = await huntAll(wanted(o.bug), o.atOnce, o.stories, (hunted) => {
    if (!o.json) o.say(text(hunted, o.bug !== "all"));
  });
  const caught = found.filter((h) => h.caught).length;
  o.say(o.json ? JSON.stringify(found) : `${caught} passed, ${found.length - caught} failed`);
  return caught === found.length;
}

function wanted(name: string): (Bug | undefined)[] {
  if (name === "none") return [undefined];
  if (name === "all") return [undefined, ...BUGS];
  return [bugNamed(name)];
}

export async function huntAll(
  bugs: readonly (Bug | undefined)[],
  atOnce: number,
  stories?: readonly Story[],
  tell: (hunted: Hunted) => void = () => undefined,
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

/** One line; with the smallest witness where it is asked for or nobody expected one. */
function text(h: Hunted, whole: boolean): string {
  const verdict = h.caught ? (h.bug === "none" ? "valid" : "caught") : "NOT CAUGHT";
  const rules = h.report.violations.map((v) => v.rule).join(" ");
  const named = rules === "" ? h.verdict : rules;
  const lines = [
    `${h.bug.padEnd(28)} ${verdict.padEnd(10)} ${named.padEnd(20)} ${h.seconds.toFixed(1)} s`,
  ];
  for (const b of h.broken) lines.push(`  broke off: ${b}`);
  const [first] = h.report.violations;
  if (first !== undefined && (whole || h.bug === "none")) {
    lines.push(`  ${first.rule}, ${first.task}: ${first.what}`);
    for (const w of first.witness) lines.push(`    ${w}`);
  }
  return lines.join("\n");
}
