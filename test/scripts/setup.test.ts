// scripts/setup.mjs and scripts/test.mjs in made-up clones: the scripts are the real ones, npm is
// the real one where its judgement matters and otherwise one that writes down what it was asked.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, onTestFinished, test } from "vitest";

const scripts = join(import.meta.dirname, "..", "..", "scripts");

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

class Clone {
  readonly root = mkdtempSync(join(tmpdir(), "parley-clone-"));
  /** Lines of the made-up npm, one per call: its arguments. */
  readonly npmLog = join(this.root, "npm.log");
  readonly env: Record<string, string>;

  constructor() {
    onTestFinished(() => rmSync(this.root, { recursive: true, force: true }));
    for (const name of ["setup.mjs", "test.mjs"]) {
      mkdirSync(join(this.root, "scripts"), { recursive: true });
      copyFileSync(join(scripts, name), join(this.root, "scripts", name));
    }
    this.write("package.json", '{ "name": "clone", "version": "1.0.0" }');
    this.lock({});
    this.env = {
      PATH: process.env.PATH ?? "",
      HOME: this.root,
      npm_execpath: this.write("npm.js", fakeNpm),
      npm_node_execpath: process.execPath,
      NPM_LOG: this.npmLog,
    };
  }

  write(path: string, text: string, mode = 0o644): string {
    const file = join(this.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text, { mode });
    return file;
  }

  lock(packages: Record<string, unknown>): void {
    const content = { name: "clone", lockfileVersion: 3, requires: true, packages };
    this.write("package-lock.json", JSON.stringify(content));
  }

  npmCalls(): string[] {
    if (!existsSync(this.npmLog)) return [];
    return readFileSync(this.npmLog, "utf8").trim().split("\n");
  }

  spawn(script: string, ...args: string[]): ChildProcess {
    const file = join(this.root, "scripts", script);
    const child = spawn(process.execPath, [file, ...args], { cwd: this.root, env: this.env });
    onTestFinished(() => void child.kill("SIGKILL"));
    return child;
  }

  run(script: string, ...args: string[]): Promise<Ended> {
    return ended(this.spawn(script, ...args));
  }
}

async function ended(child: ChildProcess): Promise<Ended> {
  let [out, err] = ["", ""];
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    err += text;
  });
  const [code, signal] = await once(child, "close");
  return { code, signal, out, err };
}

/** Writes its arguments down and makes a tree with a Node of its own, a link to this one. */
const fakeNpm = `
const { appendFileSync, mkdirSync, rmSync, symlinkSync } = require("node:fs");
appendFileSync(process.env.NPM_LOG, process.argv.slice(2).join(" ") + "\\n");
console.log("npm says this on its standard output");
rmSync("node_modules", { recursive: true, force: true });
mkdirSync("node_modules/.bin", { recursive: true });
if (!process.env.NO_NODE) {
  mkdirSync("node_modules/node/bin", { recursive: true });
  symlinkSync(process.execPath, "node_modules/node/bin/node");
  symlinkSync("../node/bin/node", "node_modules/.bin/node");
}`;

const npmCi = "ci --include=dev --no-audit --no-fund";

describe.skipIf(process.platform === "win32")("set-up", () => {
  test("installs a fresh clone, then runs the command with its arguments", async () => {
    const clone = new Clone();
    const print = "process.stdout.write(JSON.stringify(process.argv.slice(1)))";
    const result = await clone.run(
      "setup.mjs",
      "node",
      "-e",
      print,
      "--",
      "--json",
      "a b",
      "$HOME",
    );
    expect(result).toMatchObject({ code: 0, out: '["--json","a b","$HOME"]' });
    expect(result.err).toContain("set-up: node_modules is missing: running npm ci");
    expect(result.err).toContain("npm says this");
    expect(result.err).toMatch(/set-up: dependencies installed in \d+\.\d s/);
    expect(clone.npmCalls()).toEqual([npmCi]);
  });

  test("installs again when the lockfile has changed, and only then", async () => {
    const clone = new Clone();
    await clone.run("setup.mjs");
    expect(await clone.run("setup.mjs", "node", "-p", "1")).toMatchObject({ out: "1\n", err: "" });
    expect(clone.npmCalls()).toHaveLength(1);
    clone.lock({ "node_modules/x": { version: "1.0.0", optional: true } });
    const { err } = await clone.run("setup.mjs");
    expect(err).toContain("set-up: package-lock.json has changed: running npm ci");
    expect(clone.npmCalls()).toHaveLength(2);
  });

  test("takes a tree that was installed by hand, if it agrees with the lockfile", async () => {
    const clone = new Clone();
    const x = { "node_modules/x": { version: "1.0.0" } };
    const other = { "node_modules/y": { version: "2.0.0", optional: true } };
    clone.lock({ "": {}, ...x, ...other });
    clone.write("node_modules/.package-lock.json", JSON.stringify({ packages: x }));
    await clone.run("setup.mjs");
    expect(clone.npmCalls()).toEqual([]);
    const stale = { "node_modules/x": { version: "0.9.0" } };
    rmSync(join(clone.root, "node_modules", ".parley-lock"));
    clone.write("node_modules/.package-lock.json", JSON.stringify({ packages: stale }));
    expect((await clone.run("setup.mjs")).err).toContain("was not made from package-lock.json");
    expect(clone.npmCalls()).toEqual([npmCi]);
  });

  test("installs once when started twice at once", async () => {
    const clone = new Clone();
    const both = await Promise.all([clone.run("setup.mjs"), clone.run("setup.mjs")]);
    expect(both.map((each) => each.code)).toEqual([0, 0]);
    expect(clone.npmCalls()).toEqual([npmCi]);
    expect(existsSync(join(clone.root, ".parley", "setup.lock"))).toBe(false);
  });

  test("says what to do when package.json and lockfile disagree (real npm)", async () => {
    const clone = new Clone();
    clone.write("x/package.json", '{ "name": "x", "version": "1.0.0" }');
    clone.write("package.json", '{ "name": "clone", "dependencies": { "x": "file:./x" } }');
    clone.lock({ "": { name: "clone" } });
    delete clone.env.npm_execpath;
    const result = await clone.run("setup.mjs", "node", "-p", "'ran'");
    expect(result).toMatchObject({ code: 1, out: "" });
    expect(result.err).toContain("package.json and package-lock.json disagree");
    expect(result.err).toContain("run `npm install`, check with `npm ci`, commit the lockfile");
    expect(existsSync(join(clone.root, "node_modules", ".parley-lock"))).toBe(false);
  }, 60_000);

  test("says so when npm cannot be started or fails, and leaves no stamp", async () => {
    const clone = new Clone();
    const { npm_execpath } = clone.env;
    Object.assign(clone.env, { npm_execpath: "", PATH: clone.root });
    expect((await clone.run("setup.mjs")).err).toContain("Install Node 20 or newer together with");
    clone.write("npm.js", 'console.error("getaddrinfo ENOTFOUND registry"); process.exit(1)');
    Object.assign(clone.env, { npm_execpath });
    const { code, err } = await clone.run("setup.mjs");
    expect([code, err.includes("npm could not reach its registry")]).toEqual([1, true]);
    expect(existsSync(join(clone.root, "node_modules", ".parley-lock"))).toBe(false);
  });

  test("gives children the Node of the tree, whatever stands first in PATH", async () => {
    const clone = new Clone();
    const early = join(clone.root, "early");
    clone.write("early/node", "#!/bin/sh\necho the wrong node\n", 0o755);
    const bin = join(clone.root, "node_modules", ".bin");
    clone.env.PATH = `${early}:${bin}:${clone.env.PATH}`;
    clone.env.NODE = join(early, "node");
    const print = 'echo "$PATH"; echo "$NODE"; node -p "process.execPath"';
    const { out } = await clone.run("setup.mjs", "sh", "-c", print);
    const [path, node, execPath] = out.trim().split("\n");
    expect(path?.split(":").slice(0, 2)).toEqual([bin, early]);
    expect(path?.split(":").filter((part) => part === bin)).toHaveLength(1);
    expect(node).toBe(join(clone.root, "node_modules", "node", "bin", "node"));
    expect(execPath).toBe(process.execPath); // where the link in the tree leads
  });

  test("goes on with a new enough Node when npm made none, and says how to get it", async () => {
    const clone = new Clone();
    clone.env.NO_NODE = "1";
    clone.write("early/node", "#!/bin/sh\necho the wrong node\n", 0o755);
    clone.env.PATH = `${join(clone.root, "early")}:${clone.env.PATH}`;
    const { out, err } = await clone.run("setup.mjs", "sh", "-c", 'node -p "process.execPath"');
    expect(out.trim()).toBe(process.execPath);
    expect(err).toContain("npm rebuild node");
    expect(err).toContain(`going on with Node ${process.version}`);
  });

  test("passes on exit code and deadly signal", async () => {
    const clone = new Clone();
    expect(await clone.run("setup.mjs", "node", "-e", "process.exit(7)")).toMatchObject({
      code: 7,
    });
    const killed = await clone.run(
      "setup.mjs",
      "node",
      "-e",
      "process.kill(process.pid, 'SIGTERM')",
    );
    expect(killed).toMatchObject({ code: null, signal: "SIGTERM" });
    const none = await clone.run("setup.mjs", "no-such-command");
    expect([none.code, none.err.includes("no-such-command cannot be started")]).toEqual([1, true]);
  });

  test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("hands %s on, once", async (signal) => {
    const clone = new Clone();
    const script = `
      let count = 0;
      process.on("${signal}", () => {
        count += 1;
        if (count === 1) { console.log("first"); setTimeout(() => process.exit(40 + count), 200); }
      });
      setInterval(() => {}, 1000);
      console.log("ready");`;
    const child = clone.spawn("setup.mjs", "node", "-e", script);
    const lines = createInterface({ input: child.stdout! });
    const close = once(child, "close");
    for await (const line of lines) {
      if (line === "ready") child.kill(signal);
      if (line === "first") child.kill(signal); // as npm repeats what the terminal sent
    }
    expect((await close)[0]).toBe(41);
  });
});

describe.skipIf(process.platform === "win32")("the test script", () => {
  /** A clone whose tools are made up: vitest writes `report` and ends with `code`. */
  function checked(report: unknown, code: number, tscCode = 0): Clone {
    const clone = new Clone();
    clone.env.NATS_SERVER_BIN = "not looked at";
    const tool = (name: string, text: string): string =>
      clone.write(`node_modules/.bin/${name}`, `#!/bin/sh\n${text}\n`, 0o755);
    tool("tsc", `echo "tsc $*"; exit ${tscCode}`);
    tool("biome", 'echo "biome $*"');
    const text = report === undefined ? "" : JSON.stringify(report);
    const write = text === "" ? "" : `printf '%s' '${text}' > "$file"`;
    const option = '--outputFile.json=*) file="$' + '{a#*=}" ;;';
    tool("vitest", `for a in "$@"; do case "$a" in ${option} esac; done\n${write}\nexit ${code}`);
    return clone;
  }

  const lastLine = (ended: Ended): string | undefined => ended.out.trimEnd().split("\n").at(-1);
  const file = (status: string, ...statuses: string[]) => ({
    status,
    assertionResults: statuses.map((each) => ({ status: each })),
  });

  test("counts each check and each test, alone on the last line", async () => {
    const report = {
      numFailedTests: 0,
      numPassedTests: 5,
      numPendingTests: 1,
      numTodoTests: 1,
      testResults: [file("passed", "passed")],
    };
    const clone = checked(report, 0);
    clone.write("biome.json", "{}");
    clone.write("mesh/core/tsconfig.json", "{}");
    const result = await clone.run("test.mjs");
    expect([result.code, lastLine(result)]).toEqual([0, "8 passed, 0 failed, 2 skipped"]);
    expect(result.out).toContain(`Node ${process.version}`);
    expect(result.out).toContain("tsc -p tsconfig.json\n");
    expect(result.out).toContain("tsc -p mesh/core/tsconfig.json\n");
    expect(result.out).toContain("biome check\n");
  });

  test("fails on a type error although every test passes", async () => {
    const result = await checked({ numPassedTests: 5, testResults: [] }, 0, 2).run("test.mjs");
    expect([result.code, lastLine(result)]).toEqual([1, "5 passed, 1 failed"]);
  });

  test("counts a failed test once, and a file that fails before its first test", async () => {
    const testResults = [file("failed", "failed", "passed"), file("failed")];
    const report = { numFailedTests: 1, numPassedTests: 1, testResults };
    const result = await checked(report, 1).run("test.mjs");
    expect([result.code, lastLine(result)]).toEqual([1, "2 passed, 2 failed"]);
  });

  test("fails when vitest ends badly without saying why, or without a report", async () => {
    const silent = await checked({ numPassedTests: 3, testResults: [] }, 1).run("test.mjs");
    expect([silent.code, lastLine(silent)]).toEqual([1, "4 passed, 1 failed"]);
    const none = await checked(undefined, 1).run("test.mjs");
    expect([none.code, lastLine(none)]).toEqual([1, "1 passed, 1 failed"]);
  });

  test("fails when there is no report although vitest claims success", async () => {
    const result = await checked(undefined, 0).run("test.mjs");
    expect([result.code, lastLine(result)]).toEqual([1, "1 passed, 1 failed"]);
  });
});
