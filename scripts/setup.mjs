// Makes a fresh clone ready and runs a command in it:
//   node scripts/setup.mjs <command> [arguments]
// Installs the dependencies when package-lock.json has changed, then runs the command on the
// Node of the dependency tree. Plain JavaScript without imports of ours, because it starts on
// whatever Node 20 or newer came with npm. Everything it prints goes to standard error.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const modules = join(root, "node_modules");
const binFolder = join(modules, ".bin");
const stampFile = join(modules, ".parley-lock");
const windows = process.platform === "win32";

/** Oldest Node that starts this script and npm; oldest that runs our sources without a build. */
const starterNode = [20, 0];
const sourceNode = [22, 18];

const say = (line) => process.stderr.write(`set-up: ${line}\n`);

function fail(lines) {
  for (const line of lines) say(line);
  process.exit(1);
}

function isAtLeast(version, [major, minor]) {
  const [a = 0, b = 0] = version.replace(/^v/, "").split(".").map(Number);
  return a > major || (a === major && b >= minor);
}

/** Digest of the lockfile, and of what else makes an installed tree unusable. */
function wantedStamp() {
  const lock = readFileSync(join(root, "package-lock.json"));
  const digest = createHash("sha256").update(lock).digest("hex");
  return `${digest} ${process.platform}-${process.arch}\n`;
}

/** What makes an install necessary, or undefined. */
function staleness(stamp) {
  if (!existsSync(modules)) return "node_modules is missing";
  if (existsSync(stampFile)) {
    if (readFileSync(stampFile, "utf8") === stamp) return undefined;
    return "package-lock.json has changed";
  }
  if (!isInstalledByHand()) return "node_modules was not made from package-lock.json";
  writeFileSync(stampFile, stamp);
  return undefined;
}

/** Whether npm's own record of the tree agrees with the lockfile: then somebody ran `npm ci`
 * already and there is nothing to repeat. Optional packages may be of other platforms. */
function isInstalledByHand() {
  try {
    const read = (file) => JSON.parse(readFileSync(file, "utf8")).packages;
    const locked = read(join(root, "package-lock.json"));
    const present = read(join(modules, ".package-lock.json"));
    const same = (path) => present[path]?.version === locked[path]?.version;
    const wanted = Object.keys(locked).filter((path) => path !== "" && !locked[path].optional);
    return wanted.every(same) && Object.keys(present).every(same);
  } catch {
    return false;
  }
}

/** npm itself, on the Node it was started with: the one in the tree is about to be replaced. */
function npmCommand() {
  const { npm_execpath: script, npm_node_execpath: node } = process.env;
  if (script?.endsWith(".js") && node && existsSync(script) && existsSync(node)) {
    return { command: node, args: [script] };
  }
  return { command: windows ? "npm.cmd" : "npm", args: [] };
}

function pathWithout(folder) {
  const parts = (process.env.PATH ?? "").split(delimiter);
  return parts.filter((part) => part !== "" && part !== folder);
}

/** Runs `npm ci`; resolves to its exit code and the end of what it said. */
function npmCi() {
  const { command, args } = npmCommand();
  // Development dependencies are needed to run at all: they hold Node itself.
  const all = [...args, "ci", "--include=dev", "--no-audit", "--no-fund"];
  const env = { ...process.env, PATH: pathWithout(binFolder).join(delimiter) };
  return new Promise((resolve) => {
    const npm = spawn(command, all, {
      cwd: root,
      env,
      shell: command.endsWith(".cmd"),
      stdio: ["ignore", "pipe", "pipe"],
    });
    let text = "";
    for (const stream of [npm.stdout, npm.stderr]) {
      stream.on("data", (chunk) => {
        process.stderr.write(chunk);
        text = (text + chunk).slice(-20_000);
      });
    }
    npm.on("error", (error) => resolve({ code: 127, text: error.message }));
    npm.on("close", (code) => resolve({ code: code ?? 1, text }));
  });
}

async function install(reason, stamp) {
  say(`${reason}: running npm ci`);
  const startedAt = Date.now();
  const { code, text } = await npmCi();
  if (code === 0) {
    writeFileSync(stampFile, stamp);
    say(`dependencies installed in ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
    return;
  }
  if (code === 127) {
    fail([`npm cannot be started (${text}).`, "Install Node 20 or newer together with npm."]);
  }
  if (/can only install packages when your|Missing: .* from lock file/.test(text)) {
    fail([
      "package.json and package-lock.json disagree, so nothing was installed.",
      "Who changed package.json: run `npm install`, check with `npm ci`, commit the lockfile.",
    ]);
  }
  if (/ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|network/.test(text)) {
    fail(["npm could not reach its registry: check the network or `npm config get registry`."]);
  }
  fail([`npm ci failed (exit ${code}); its messages are above.`]);
}

/** Waits until no other set-up of this clone is at work, and takes its place. */
async function withLock(work) {
  const folder = join(root, ".parley");
  const file = join(folder, "setup.lock");
  mkdirSync(folder, { recursive: true });
  for (let told = false; ; told = true) {
    try {
      writeFileSync(file, String(process.pid), { flag: "wx" });
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    const owner = lockOwner(file);
    if (owner === undefined) continue;
    if (!told) say(`process ${owner} is installing: waiting for it`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const release = () => rmSync(file, { force: true });
  process.once("exit", release);
  await work();
  process.off("exit", release);
  release();
}

/** The process that holds the lock; a lock left by a dead one is removed. */
function lockOwner(file) {
  let owner = 0;
  try {
    owner = Number(readFileSync(file, "utf8"));
    if (owner > 0) process.kill(owner, 0);
    return owner;
  } catch (error) {
    if (error.code === "EPERM") return owner;
    rmSync(file, { force: true });
    return undefined;
  }
}

/** The Node to run on and the folders that go first in PATH. */
function chooseNode() {
  const node = join(modules, "node", "bin", windows ? "node.exe" : "node");
  const probe = spawnSync(node, ["--version"], { encoding: "utf8", timeout: 10_000 });
  const version = probe.status === 0 ? probe.stdout.trim() : undefined;
  if (version !== undefined && isAtLeast(version, sourceNode)) {
    return { node, first: [binFolder] };
  }
  say("the Node of the dependency tree is not there (npm did not run its install script).");
  say("To get it: npm rebuild node (npm 12: npm install-scripts approve node, then that).");
  if (!isAtLeast(process.version, sourceNode)) {
    fail([`This is Node ${process.version}; without that one, Node 22.18 or newer is needed.`]);
  }
  say(`going on with Node ${process.version}, which is new enough.`);
  return { node: process.execPath, first: [linkFolder(process.execPath), binFolder] };
}

/** A folder that holds `node` and nothing else, so that nothing beside that Node comes first. */
function linkFolder(node) {
  const folder = join(modules, ".parley-node");
  if (windows) return dirname(node);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  symlinkSync(node, join(folder, "node"));
  return folder;
}

/** Runs the command in our place: same streams, signals handed on, same end. */
function run([command, ...args]) {
  const { node, first } = chooseNode();
  const rest = pathWithout(binFolder).filter((part) => !first.includes(part));
  const env = {
    ...process.env,
    PATH: [...first, ...rest].join(delimiter),
    // npm names the Node that it runs on itself in these two.
    NODE: node,
    npm_node_execpath: node,
  };
  const program = command === "node" ? node : command;
  const child = spawn(program, args, { env, stdio: "inherit", shell: windows && program !== node });
  const handlers = forwardSignals(child);
  child.on("error", (error) => fail([`${command} cannot be started: ${error.message}`]));
  child.on("exit", (code, signal) => {
    for (const [name, handler] of handlers) process.off(name, handler);
    if (signal === null) process.exit(code ?? 1);
    process.kill(process.pid, signal);
    // Only reached where that signal does not end us.
    setTimeout(() => process.exit(128 + (constants.signals[signal] ?? 0)), 100);
  });
}

/** A signal often comes twice, from the terminal and again from npm, and a second one means
 * "at once" to our programs: so each is handed on once a second at most, and an interrupt from
 * a terminal not at all, because the terminal gives it to the child itself. */
function forwardSignals(child) {
  const lastAt = new Map();
  return ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"].map((name) => {
    const handler = () => {
      const now = Date.now();
      if (now - (lastAt.get(name) ?? 0) < 1_000) return;
      lastAt.set(name, now);
      if (name === "SIGINT" && process.stdin.isTTY) return;
      child.kill(name);
    };
    process.on(name, handler);
    return [name, handler];
  });
}

if (!isAtLeast(process.version, starterNode)) {
  fail([`This is Node ${process.version}; Node 20 or newer is needed to start.`]);
}
const stamp = wantedStamp();
if (staleness(stamp) !== undefined) {
  await withLock(async () => {
    const reason = staleness(stamp);
    if (reason !== undefined) await install(reason, stamp);
  });
}
const command = process.argv.slice(2);
if (command.length > 0) run(command);
else say("dependencies are in place");
