// Every check of the project, in order: types, lint, tests with a real nats-server. Prints, as
// its last line and alone on it, `N passed, N failed` (and skipped), counting each check as one;
// exits 1 if any failed.
//   node scripts/test.mjs [arguments for vitest]
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const total = { passed: 0, failed: 0, skipped: 0 };

/** Runs one program of the dependency tree by its script, so that it gets this Node. */
function run(name, args) {
  console.log(`\n> ${name} ${args.join(" ")}`);
  const program = join(root, "node_modules", ".bin", name);
  const windows = process.platform === "win32";
  const result = spawnSync(windows ? `${program}.cmd` : program, args, {
    cwd: root,
    stdio: "inherit",
    shell: windows,
  });
  if (result.error !== undefined) console.error(result.error.message);
  return result.status === 0;
}

function check(name, args) {
  if (run(name, args)) total.passed += 1;
  else total.failed += 1;
}

/** Runs vitest and adds what it counted. A file that fails before its first test counts as one
 * failure, and so does an end that the report does not explain. */
function test(args) {
  const folder = mkdtempSync(join(tmpdir(), "parley-test-"));
  const report = join(folder, "report.json");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const passed = run("vitest", ["run", ...reporters, ...args]);
  const counted = existsSync(report) ? JSON.parse(readFileSync(report, "utf8")) : undefined;
  rmSync(folder, { recursive: true, force: true });
  let failed = counted?.numFailedTests ?? 0;
  for (const file of counted?.testResults ?? []) {
    const told = file.assertionResults.some((each) => each.status === "failed");
    if (file.status === "failed" && !told) failed += 1;
  }
  if (failed === 0 && (!passed || counted === undefined)) failed = 1;
  total.failed += failed;
  total.passed += counted?.numPassedTests ?? 0;
  total.skipped += (counted?.numPendingTests ?? 0) + (counted?.numTodoTests ?? 0);
}

/** Finds or fetches the nats-server once, before many test files look for it at once. */
async function provideServer() {
  if (process.env.NATS_SERVER_BIN) return;
  const { findServer } = await import("../mesh/nats/server/find-server.ts");
  try {
    process.env.NATS_SERVER_BIN = (await findServer({ say: console.log })).binary;
  } catch (error) {
    total.failed += 1;
    console.error(error.message);
  }
}

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
console.log(`Node ${process.version} (${process.execPath})`);
if (major < 22 || (major === 22 && minor < 18)) {
  console.error("Node 22.18 or newer is needed: start this with `npm test`.");
  process.exit(1);
}
check("tsc", ["-p", "tsconfig.json"]);
const core = join("mesh", "core", "tsconfig.json");
if (existsSync(join(root, core))) check("tsc", ["-p", core]);
if (existsSync(join(root, "biome.json"))) check("biome", ["check"]);
console.log();
await provideServer();
test(process.argv.slice(2));

const skipped = total.skipped === 0 ? "" : `, ${total.skipped} skipped`;
console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`);
process.exitCode = total.failed === 0 ? 0 : 1;
