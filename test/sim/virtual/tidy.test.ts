// Nothing in a simulated world may know the real time or draw real randomness; and it stands on
// the adapters, not on the client below them.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const folder = join(import.meta.dirname, "..", "..", "..", "sim", "virtual");
const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => ({ name, code: code(readFileSync(join(folder, name), "utf8")) }));

function code(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/[^\n]*/g, "");
}

/** Who may look at the real clock: only for how long a run takes. */
const WATCHES = ["world.ts", "run.ts"];

test.each([
  [/\bMath\.random\b/, []],
  [/\brandom(Bytes|UUID|FillSync)\b/, []],
  [/\bset(Timeout|Interval)\b/, []],
  [/\bDate\.now\b|\bnew Date\(\)/, []],
  [/\bsetImmediate\b/, ["world.ts"]],
  [/\bperformance\b|\bhrtime\b/, WATCHES],
  [/@nats-io\//, []],
])("no %s outside of %j", (pattern, except: string[]) => {
  expect(files.length).toBeGreaterThan(10);
  const found = files.filter(({ name, code }) => pattern.test(code) && !except.includes(name));
  expect(found.map(({ name }) => name)).toEqual([]);
});
