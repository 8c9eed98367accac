// The package as users get it: packed, installed into an empty folder, and the first sample run
// there against a mesh. Needs the registry, or npm's cache of it, for the dependencies.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { addIdentity } from "../../mesh/nats/identity/home.ts";
import { useMesh } from "./fixture.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const sample = join(root, "examples", "01-hello-agent.ts");
const mesh = useMesh();
const children: ChildProcess[] = [];
let folder = "";
let offline: string | undefined;

/** What npm told the script that runs us must not reach another npm in another folder. */
const clean = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) =>
      !/^(npm_(package|lifecycle|command|config_local_prefix)|INIT_CWD|NATS_|PARLEY_HOME)/.test(
        name,
      ),
  ),
);

function npm(cwd: string, ...args: string[]) {
  const script = process.env.npm_execpath;
  const quiet = [...args, "--no-audit", "--no-fund", "--no-update-notifier"];
  return script === undefined
    ? run("npm", quiet, { cwd, env: clean, shell: process.platform === "win32" })
    : run(process.execPath, [script, ...quiet], { cwd, env: clean });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "parley-package-"));
  const { stdout } = await npm(root, "pack", "--json", "--silent", "--pack-destination", folder);
  const { filename } = JSON.parse(stdout.slice(stdout.indexOf("[")))[0] as { filename: string };
  try {
    await npm(folder, "install", "--prefer-offline", "--ignore-scripts", `./${filename}`);
  } catch (error) {
    const { stderr = "" } = error as { stderr?: string };
    const network = /ENOTCACHED|EAI_AGAIN|ENOTFOUND|ECONNREFUSED|ETIMEDOUT|ECONNRESET/.exec(stderr);
    if (network === null) throw error;
    offline = `the registry cannot be reached (${network[0]})`;
  }
  await copyFile(sample, join(folder, "agent.ts"));
}, 180_000);

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs the sample until it has printed its result, then asks it to stop. */
async function runSample(env: Record<string, string>) {
  const child = spawn(process.execPath, ["agent.ts"], {
    cwd: folder,
    env: { ...clean, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  let stderr = "";
  child.stderr.on("data", (data) => {
    stderr += String(data);
  });
  const exit = once(child, "exit");
  const printed = await Promise.race([once(child.stdout, "data"), exit]);
  child.kill("SIGTERM");
  const [code] = await exit;
  return { printed: String(printed[0]).trim(), code: code as number | null, stderr };
}

describe("the packed package, installed into an empty folder", () => {
  test("runs the first sample with an address and credentials", async ({ skip }) => {
    if (offline !== undefined) return skip(offline);
    const { credsPath } = await addIdentity(mesh.local.home, {
      name: "packed",
      role: "agent",
      capabilities: ["summarize"],
    });
    const ran = await runSample({ NATS_URL: mesh.local.server.url, NATS_CREDS: credsPath });
    expect(ran).toMatchObject({ printed: "Agents bid for tasks, the", code: 0 });
    expect(ran.stderr).toContain('"msg":"summarizing"');
  }, 30_000);

  test("runs it with nothing but what `parley up` leaves in the home folder", async ({ skip }) => {
    if (offline !== undefined) return skip(offline);
    const { home, server } = mesh.local;
    await writeFile(join(home.dir, "up.json"), JSON.stringify({ url: server.url, home: home.dir }));
    const ran = await runSample({ PARLEY_HOME: home.dir });
    expect(ran).toMatchObject({ printed: "Agents bid for tasks, the", code: 0 });
  }, 30_000);

  test("says how to start a mesh when there is none", async ({ skip }) => {
    if (offline !== undefined) return skip(offline);
    const ran = await runSample({});
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain("there is no mesh to join");
    expect(ran.stderr).not.toMatch(/^ {4}at /m);
  }, 30_000);

  test("carries types that accept the sample and refuse its mistakes", async ({ skip }) => {
    if (offline !== undefined) return skip(offline);
    const text = await readFile(sample, "utf8");
    await writeFile(join(folder, "right.mts"), text);
    await writeFile(
      join(folder, "wrong.mts"),
      text.replace("{ text })).summary", "{ txt: text })).summary"),
    );
    const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
    const check = (file: string) =>
      run(
        process.execPath,
        [
          tsc,
          "--noEmit",
          "--strict",
          "--module",
          "nodenext",
          "--target",
          "es2024",
          "--skipLibCheck",
          "--types",
          "node",
          "--typeRoots",
          join(root, "node_modules", "@types"),
          file,
        ],
        { cwd: folder },
      );
    await check("right.mts");
    await expect(check("wrong.mts")).rejects.toMatchObject({
      stdout: expect.stringMatching(/wrong\.mts.*txt/) as string,
    });
  }, 60_000);

  test("holds no sources, tests or secrets", async ({ skip }) => {
    if (offline !== undefined) return skip(offline);
    const { stdout } = await npm(
      root,
      "pack",
      "--json",
      "--silent",
      "--dry-run",
      "--ignore-scripts",
    );
    const { files } = JSON.parse(stdout.slice(stdout.indexOf("[")))[0] as {
      files: { path: string }[];
    };
    const odd = files
      .map((f) => f.path)
      .filter(
        (path) => !/^(dist\/\w[\w-]*\/.*\.(js|d\.ts)|README\.md|LICENSE|package\.json)$/.test(path),
      );
    expect(odd).toEqual([]);
    expect(files.map((f) => f.path)).toContain("dist/agent-sdk/index.d.ts");
  }, 30_000);
});
