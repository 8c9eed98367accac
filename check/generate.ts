// A sound history of any size, for measuring the checker: node check/generate.ts DIR EVENTS

import { once } from "node:events";
import { createWriteStream, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [dir, wanted] = process.argv.slice(2);
if (dir === undefined || !(Number(wanted) > 0)) {
  process.stderr.write("node check/generate.ts DIR EVENTS\n");
  process.exit(64);
}
mkdirSync(dir, { recursive: true });
const names = ["load", "ina", "amy", "dump"] as const;
const files = new Map(names.map((n) => [n, createWriteStream(join(dir, `${n}.ndjson`))]));
const counts = new Map<string, number>();

async function put(name: (typeof names)[number], value: object): Promise<void> {
  const n = counts.get(name) ?? 0;
  counts.set(name, n + 1);
  const line = name === "dump" ? value : { p: name, n, ...value };
  const file = files.get(name);
  if (file?.write(`${JSON.stringify(line)}\n`) === false) await once(file, "drain");
}

const TASK_EVENTS = 11;
for (let i = 0; i * TASK_EVENTS < Number(wanted); i++) {
  const task = `bob.t${i}`;
  const t = i * 20_000_000;
  const rev = 3 * i + 1;
  const write = async (p: "load" | "amy", op: string, who: string, ms: number, at: number[]) => {
    const same = { op, task, who, e: op === "spec" ? 0 : 1, id: `${op}${i}`, d: `d${op}${i}` };
    await put(p, { t: t + ms * 1e6, k: "inv", ...same, rev: at[0] });
    await put(p, { t: t + (ms + 1) * 1e6, k: "ok", ...same, rev: at[1] });
  };
  await write("load", "spec", "bob.main", 1, [0, rev]);
  const ina = { k: "obs", task, who: "ina.main", id: `c${i}` };
  await put("ina", { t: t + 3e6, ...ina, op: "cfp" });
  await put("amy", { t: t + 4e6, k: "obs", op: "bid", who: "amy.a", to: "ina.main", id: `c${i}` });
  await put("ina", { t: t + 5e6, ...ina, op: "award", to: "amy.a", e: 1, rev });
  await write("amy", "contract", "amy.a", 6, [rev, rev + 1]);
  await put("amy", { t: t + 8e6, k: "obs", op: "start", task, who: "amy.a", e: 1, rev: rev + 1 });
  await write("amy", "outcome", "amy.a", 9, [rev + 1, rev + 2]);
  await put("amy", { t: t + 11e6, k: "obs", op: "stop", task, who: "amy.a", e: 1, rev: rev + 1 });
  const record = (kind: string, from: string, at: number, fence: number, more: object) =>
    put("dump", {
      rev: at,
      at: 1e12 + i,
      task,
      kind,
      n: "1",
      from,
      to: "_._",
      fence,
      id: `${kind}${i}`,
      d: `d${kind}${i}`,
      ...more,
    });
  await record("spec", "bob.main", rev, 0, { attemptsMax: 3, deadline: 2e12 });
  const award = { rev, e: 1, by: "ina.main", to: "amy.a", cfp: `c${i}`, rung: "s8" };
  const embedded = { ...award, bids: ["amy.a"], spec: `dspec${i}` };
  await record("contract", "amy.a", rev + 1, rev, { e: 1, award: embedded });
  await record("outcome", "amy.a", rev + 2, rev + 1, { e: 1, state: "completed", attempts: 1 });
}
for (const file of files.values()) file.end();
writeFileSync(join(dir, "meta.json"), JSON.stringify({ drained: true }));
