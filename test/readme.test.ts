// The README is run: its sample as it stands, and its commands, each in the form that a test can
// afford. A command that is added there must be added here.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tempDir } from "./support/nats-server.ts";
import { findNatsCli, type Program, parley, start, startParley } from "./support/program.ts";

const root = join(import.meta.dirname, "..");
const readme = readFileSync(join(root, "README.md"), "utf8");
const blocks = (language: string) =>
  [...readme.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, "g"))].map(
    (m) => m[1] as string,
  );
const commands = blocks("sh")
  .flatMap((block) => block.trim().split("\n"))
  .map((line) => line.replace(/\s+#.*$/, "").trim());
const nats = findNatsCli();

describe("README", () => {
  let dir: string;
  let remove: () => Promise<void>;
  let up: Program;
  let agent: Program;
  let url: string;
  const folder = join(root, ".parley", `readme-${process.pid}`);

  beforeAll(async () => {
    ({ dir, remove } = await tempDir());
    up = startParley(["up", "--port", "0", "--json"], dir);
    ({ url } = JSON.parse(await up.line(/^\{/)) as { url: string });
    // Inside the package, so that it may be imported by its name, and where git does not look.
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "hello.ts"), blocks("ts")[0] as string);
    const args = ["--conditions=parley-source", join(folder, "hello.ts")];
    agent = start(process.execPath, args, dir);
  }, 60_000);

  afterAll(async () => {
    agent?.process.kill("SIGTERM");
    await agent?.ended;
    up?.process.kill("SIGTERM");
    await up?.ended;
    rmSync(folder, { recursive: true, force: true });
    await remove();
  }, 30_000);

  it("names no command that is not run here", () => {
    expect(
      commands.map((c) =>
        c
          .split(" ")
          .slice(0, c.startsWith("n") ? 3 : 2)
          .join(" "),
      ),
    ).toEqual([
      "git clone",
      "npm start",
      "npm test",
      "nats req mesh.call.summarize",
      "nats req mesh.submit.summarize",
      "nats sub 'mesh.rec.>'",
      "npm run parley",
    ]);
  });

  it("the sample is fifteen lines or so, runs, and prints its summary", async () => {
    const lines = (blocks("ts")[0] as string).split("\n").filter((line) => line.trim() !== "");
    expect(lines.length).toBeLessThanOrEqual(16);
    await agent.line(/^Agents bid for tasks, the$/);
  }, 30_000);

  it.skipIf(nats === undefined)(
    "the nats commands work on it",
    async () => {
      const connection = ["--server", url, "--creds", join(dir, ".parley/creds/operator.creds")];
      const ask = async (command: string) => {
        const quoted = [...command.matchAll(/'([^']*)'|(\S+)/g)].map((m) => m[1] ?? m[2] ?? "");
        const inbox = ["--inbox-prefix", "_INBOX.operator"];
        const args = [...connection, ...inbox, ...quoted.slice(1)];
        return (await start(nats as string, args, dir).ended).out;
      };
      const [call, submit] = commands.filter((c) => c.startsWith("nats req"));
      expect(await ask(call as string)).toContain('"summary":"a b c"');
      const task = /"task":"([^"]+)"/.exec(await ask(submit as string))?.[1] as string;
      expect(task).toBeDefined();
      const done = await parley(["task", "watch", task], dir);
      expect(done.code).toBe(0);
      expect((await parley(["task", "why", task], dir)).out).toContain("the same choice follows");
    },
    60_000,
  );

  it("npm start, at a size for a test", async () => {
    const setUp = join(root, "scripts/setup.mjs");
    const args = [setUp, "node", join(root, "cli/main.ts"), "sim", "--generated"];
    const small = ["--agents", "20", "--tasks", "30", "--time-scale", "0.02", "--json"];
    const run = await start(process.execPath, [...args, ...small], dir).ended;
    expect(run.code).toBe(0);
    expect(JSON.parse(run.out)).toMatchObject({ agents: 20, tasks: { completed: 30, lost: 0 } });
  }, 90_000);
});
