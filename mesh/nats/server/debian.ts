// nats-server from the newer suite of a Debian-like distribution, unpacked without installing:
// apt's own download and signature checks, with a package list, cache and state of our own.
// The mirror and its key are those that the machine already has configured.
import { access, chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Env, failureOf, findOnPath, runChild } from "./child.ts";
import type { Source } from "./source.ts";

export interface PackageMirror {
  readonly uri: string;
  /** Key file that signs it, when the machine's configuration names one. */
  readonly signedBy?: string;
}

const updateTimeoutMs = 120_000;
const downloadTimeoutMs = 120_000;
const unpackTimeoutMs = 30_000;

/** The suite that carries current packages, by the last part of the mirror's path. */
const newerSuites: Readonly<Record<string, string>> = {
  debian: "sid main",
  ubuntu: "devel universe",
  "ubuntu-ports": "devel universe",
};

export const debianSource: Source = {
  name: "debian",
  fetch: async ({ env, say, scratch }) => {
    const [apt] = findOnPath("apt-get", env);
    const [dpkg] = findOnPath("dpkg-deb", env);
    if (apt === undefined || dpkg === undefined) throw new Error("no apt-get on PATH");
    const mirror = pickMirror(await configuredMirrors(env));
    if (mirror === undefined) throw new Error("no Debian or Ubuntu mirror is configured");
    const suite = suiteOf(mirror.uri);
    say(`debian: looking in ${mirror.uri} ${suite} (nothing gets installed)`);
    // Below the temporary folder and readable for all: apt gives up its privileges to download.
    const area = await mkdtemp(join(tmpdir(), "parley-apt-"));
    try {
      await chmod(area, 0o755);
      const config = await writeAptConfig(area, mirror, suite);
      const run = async (command: string, args: string[], timeoutMs: number): Promise<void> => {
        const quiet = { ...env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" };
        const result = await runChild(command, args, { env: quiet, timeoutMs, cwd: area });
        const failure = failureOf(result);
        if (failure !== undefined) throw new Error(`${args.join(" ")}: ${failure}`);
      };
      await run(apt, ["-q", "-c", config, "update"], updateTimeoutMs);
      await run(apt, ["-q", "-c", config, "download", "nats-server"], downloadTimeoutMs);
      const file = (await readdir(area)).find((name) => /^nats-server_.*\.deb$/.test(name));
      if (file === undefined) throw new Error("apt-get downloaded no nats-server package");
      await run(dpkg, ["-x", join(area, file), scratch], unpackTimeoutMs);
      return {
        binary: await programBelow(scratch),
        origin: `${file} from ${mirror.uri} ${suite}, signature checked by apt`,
      };
    } finally {
      await rm(area, { recursive: true, force: true });
    }
  },
};

async function programBelow(root: string): Promise<string> {
  for (const folder of ["usr/sbin", "usr/bin"]) {
    const file = join(root, folder, "nats-server");
    const found = await access(file).then(
      () => true,
      () => false,
    );
    if (found) return file;
  }
  throw new Error("the package holds no nats-server program");
}

/** Settings read after the machine's own, so that its proxies stay and its hooks do not run. */
async function writeAptConfig(area: string, mirror: PackageMirror, suite: string) {
  for (const folder of ["lists/partial", "cache/archives/partial"]) {
    await mkdir(join(area, folder), { recursive: true });
  }
  // Only the package index: no descriptions, icons or contents, which are larger than the rest.
  const options = ["target=Packages"];
  if (mirror.signedBy !== undefined) options.push(`signed-by=${mirror.signedBy}`);
  const entry = `deb [${options.join(" ")}] ${mirror.uri} ${suite}\n`;
  await writeFile(join(area, "sources.list"), entry);
  await writeFile(join(area, "status"), "");
  const config = join(area, "apt.conf");
  await writeFile(
    config,
    `#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::Etc::SourceList "${area}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "${area}";
Dir::State::Lists "${area}/lists";
Dir::State::status "${area}/status";
Dir::Cache "${area}/cache";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "10";
Acquire::https::Timeout "10";
`,
  );
  return config;
}

function suiteOf(uri: string): string {
  return newerSuites[lastPartOf(uri)] ?? "";
}

function lastPartOf(uri: string): string {
  return uri.replace(/\/+$/, "").split("/").pop() ?? "";
}

/** The first mirror of a distribution whose newer suite we know. */
export function pickMirror(mirrors: readonly PackageMirror[]): PackageMirror | undefined {
  return mirrors.find((mirror) => suiteOf(mirror.uri) !== "");
}

/** Mirrors of the machine, from both formats of /etc/apt. `PARLEY_APT_DIR` names another folder
 * of the same layout. */
async function configuredMirrors(env: Env): Promise<PackageMirror[]> {
  const folder = env.PARLEY_APT_DIR || "/etc/apt";
  const parts = (await readdir(join(folder, "sources.list.d")).catch(() => [])).sort();
  const files = [
    join(folder, "sources.list"),
    ...parts.map((name) => join(folder, "sources.list.d", name)),
  ];
  const mirrors: PackageMirror[] = [];
  for (const file of files) {
    const text = await readFile(file, "utf8").catch(() => "");
    mirrors.push(...(file.endsWith(".sources") ? mirrorsInDeb822(text) : mirrorsInList(text)));
  }
  return mirrors;
}

/** Mirrors of the one-line format: `deb [signed-by=/key] http://host/debian suite main`. */
export function mirrorsInList(text: string): PackageMirror[] {
  const mirrors: PackageMirror[] = [];
  for (const line of text.split("\n")) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+\S+/.exec(line);
    if (match?.[2] === undefined) continue;
    const key = /(?:^|\s)signed-by=(\S+)/i.exec(match[1] ?? "")?.[1];
    mirrors.push(mirrorOf(match[2], key));
  }
  return mirrors;
}

/** Mirrors of the deb822 format: paragraphs of `Name: value` lines. */
export function mirrorsInDeb822(text: string): PackageMirror[] {
  const mirrors: PackageMirror[] = [];
  const lines = text.split("\n").filter((line) => !line.startsWith("#"));
  for (const paragraph of lines.join("\n").split(/\n\s*\n/)) {
    const field = (name: string): string | undefined =>
      new RegExp(`^${name}:[ \\t]*(\\S.*)$`, "im").exec(paragraph)?.[1]?.trim();
    const enabled = field("Enabled")?.toLowerCase() !== "no";
    if (!enabled || !field("Types")?.split(/\s+/).includes("deb")) continue;
    for (const uri of field("URIs")?.split(/\s+/) ?? []) {
      mirrors.push(mirrorOf(uri, field("Signed-By")));
    }
  }
  return mirrors;
}

/** Only a key that is a file can be named again; without one apt's default keys hold. */
function mirrorOf(uri: string, key: string | undefined): PackageMirror {
  return key?.startsWith("/") ? { uri, signedBy: key } : { uri };
}
