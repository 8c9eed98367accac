import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { writeCache } from "../../../mesh/nats/server/cache.ts";
import {
  type FoundServer,
  findServer,
  ServerNotFoundError,
} from "../../../mesh/nats/server/find-server.ts";
import { platformOf } from "../../../mesh/nats/server/release.ts";
import {
  httpServer,
  impostor,
  impostorLines,
  program,
  scratchFolder,
  sha256,
  tarGz,
} from "./fixtures.ts";

interface Place {
  readonly root: string;
  readonly bin: string;
  readonly cache: string;
  readonly env: Record<string, string>;
  readonly said: string[];
}

/** A machine with nothing on it: an empty search path, an empty cache, a mirror that is closed. */
function bareMachine(env: Record<string, string> = {}): Place {
  const root = scratchFolder();
  const place = { root, bin: join(root, "bin"), cache: join(root, "cache"), said: [] };
  mkdirSync(place.bin);
  const closed = { PATH: place.bin, PARLEY_CACHE: place.cache };
  return { ...place, env: { ...closed, PARLEY_NATS_MIRROR: "http://127.0.0.1:1", ...env } };
}

function find(place: Place, binary?: string): Promise<FoundServer> {
  const say = (line: string): number => place.said.push(line);
  return findServer({ env: place.env, say, ...(binary === undefined ? {} : { binary }) });
}

async function notFound(place: Place, binary?: string): Promise<ServerNotFoundError> {
  const error = await find(place, binary).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ServerNotFoundError);
  return error as ServerNotFoundError;
}

/** A mirror with one release whose archive holds an impostor of the pinned version. */
async function mirror(change: { sums?: string; archive?: Buffer; version?: string } = {}) {
  const stem = `nats-server-v2.15.1-${platformOf()}`;
  const script = `#!/bin/sh\n${impostorLines(change.version ?? "2.15.1")}\n`;
  const archive = tarGz({ [`${stem}/LICENSE`]: "text", [`${stem}/nats-server`]: script });
  const sums = change.sums ?? `${"0".repeat(64)}  other.zip\n${sha256(archive)}  ${stem}.tar.gz\n`;
  const server = await httpServer((request, response) => {
    if (request.url === "/v2.15.1/SHA256SUMS") response.end(sums);
    else if (request.url === `/v2.15.1/${stem}.tar.gz`) response.end(change.archive ?? archive);
    else response.writeHead(404).end();
  });
  return { ...server, archive, name: `${stem}.tar.gz` };
}

describe.skipIf(process.platform === "win32")("the search for a nats-server", () => {
  test("takes the program that is named, by option before environment", async () => {
    const place = bareMachine();
    impostor(place.bin, "2.15.1");
    const named = impostor(join(place.root, "a"), "2.16.0");
    place.env.NATS_SERVER_BIN = impostor(join(place.root, "b"), "2.14.3");
    expect(await find(place, named)).toEqual({ binary: named, version: "2.16.0", source: "named" });
    expect(await find(place)).toMatchObject({ version: "2.14.3", source: "named" });
  });

  test("refuses a named program that is too old, with both versions", async () => {
    const place = bareMachine();
    impostor(place.bin, "2.15.1");
    place.env.NATS_SERVER_BIN = impostor(join(place.root, "old"), "2.14.2");
    const error = await notFound(place);
    expect(error.message).toMatch(/NATS_SERVER_BIN names .* 2\.14\.2; Parley needs 2\.14\.3/);
  });

  test("refuses a named program that is missing or no nats-server", async () => {
    const place = bareMachine();
    const missing = join(place.root, "missing");
    expect((await notFound(place, missing)).message).toMatch(/not a nats-server that runs.*ENOENT/);
    const other = program(place.root, "other", "echo cat 9.1.0");
    expect((await notFound(place, other)).message).toMatch(/does not print a nats-server version/);
  });

  test("passes over what is too old or broken on PATH and says why", async () => {
    const place = bareMachine();
    const [old, broken, good] = ["old", "broken", "good"].map((name) => join(place.root, name));
    impostor(old!, "2.9.10");
    program(broken!, "nats-server", "echo wrong libc >&2", "exit 127");
    const binary = impostor(good!, "2.15.1");
    place.env.PATH = [old, broken, good].join(":");
    expect(await find(place)).toEqual({ binary, version: "2.15.1", source: "path" });
    expect(place.said).toEqual([
      `PATH: ${old}/nats-server is nats-server 2.9.10, older than 2.14.3: passed over`,
      `PATH: ${broken}/nats-server does not run (exit 127: wrong libc): passed over`,
      `nats-server 2.15.1: ${binary} (on PATH)`,
    ]);
  });

  test("takes PATH before the cache, and the newest of the cache", async () => {
    const place = bareMachine({ PARLEY_OFFLINE: "1" });
    for (const version of ["2.14.9", "2.14.10", "2.9.0"]) {
      const binary = impostor(join(place.root, version), version);
      await writeCache(place.env, binary, { version, origin: "a test" });
    }
    expect(await find(place)).toMatchObject({ version: "2.14.10", source: "cache" });
    impostor(place.bin, "2.14.3");
    expect(await find(place)).toMatchObject({ version: "2.14.3", source: "path" });
  });

  test("refuses a cached binary whose bytes have changed, and one without a record", async () => {
    const place = bareMachine({ PARLEY_OFFLINE: "1" });
    const binary = impostor(join(place.root, "b"), "2.15.1");
    const cached = await writeCache(place.env, binary, { version: "2.15.1", origin: "a test" });
    writeFileSync(cached, `${readFileSync(cached, "utf8")}# changed\n`);
    impostor(join(place.cache, "nats-server", "2.15.2"), "2.15.2");
    const error = await notFound(place);
    expect(error.passedOver).toContain(
      `cache: ${cached} does not have its recorded SHA-256: passed over`,
    );
    expect(error.message).toMatch(/2\.15\.2\/nats-server does not have its recorded SHA-256/);
  });

  test("fetches the pinned release, checks its sum, unpacks one file, keeps it", async () => {
    const { url, asked } = await mirror();
    const place = bareMachine({ PARLEY_NATS_MIRROR: url });
    const found = await find(place);
    expect(found).toMatchObject({ version: "2.15.1", source: "release" });
    expect(readdirSync(join(place.cache, "nats-server"))).toEqual(["2.15.1"]);
    expect(readdirSync(join(place.cache, "nats-server", "2.15.1")).sort()).toEqual([
      "nats-server",
      "nats-server.json",
    ]);
    expect(await find(place)).toEqual({ ...found, source: "cache" });
    expect(asked).toHaveLength(2);
  });

  test("refuses a release whose archive, sum or version is not the expected one", async () => {
    const other = await mirror({ archive: tarGz({ "a/nats-server": "other" }) });
    expect((await notFound(bareMachine({ PARLEY_NATS_MIRROR: other.url }))).message).toMatch(
      /release: passed over: .* has SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}: refused/,
    );
    const unlisted = await mirror({ sums: `${"0".repeat(64)}  something-else.tar.gz\n` });
    expect((await notFound(bareMachine({ PARLEY_NATS_MIRROR: unlisted.url }))).message).toMatch(
      /SHA256SUMS of the release does not list/,
    );
    const old = await mirror({ version: "2.10.27" });
    expect((await notFound(bareMachine({ PARLEY_NATS_MIRROR: old.url }))).message).toMatch(
      /release: passed over: it is nats-server 2\.10\.27, older than 2\.14\.3/,
    );
  });

  test("lets a digest of the user's own decide over the release's sums", async () => {
    const { url, archive, asked } = await mirror({ sums: "" });
    const pinned = { PARLEY_NATS_MIRROR: url, PARLEY_NATS_SHA256: sha256(archive).toUpperCase() };
    expect(await find(bareMachine(pinned))).toMatchObject({ source: "release" });
    expect(asked).toHaveLength(1);
    const wrong = { ...pinned, PARLEY_NATS_SHA256: "0".repeat(64) };
    expect((await notFound(bareMachine(wrong))).message).toMatch(/expected 0{64}: refused/);
  });

  test("refuses a mirror that is neither https nor on this machine", async () => {
    const place = bareMachine({ PARLEY_NATS_MIRROR: "http://mirror.invalid/nats" });
    expect((await notFound(place)).message).toMatch(/PARLEY_NATS_MIRROR is not https/);
  });

  test("fetches once when two look at once, and takes over a dead one's lock", async () => {
    const { url, asked } = await mirror();
    const place = bareMachine({ PARLEY_NATS_MIRROR: url });
    mkdirSync(join(place.cache, "nats-server"), { recursive: true });
    const dead = spawnSync(process.execPath, ["--version"]).pid;
    writeFileSync(join(place.cache, "nats-server", ".lock"), `${dead}\n`);
    const found = await Promise.all([find(place), find(place)]);
    expect(found.map((each) => each.source).sort()).toEqual(["cache", "release"]);
    expect(asked).toHaveLength(2);
    expect(place.said).toContain(`process ${process.pid} is fetching nats-server: waiting for it`);
  });

  test("builds with go install where Go is, into the cache", async () => {
    const place = bareMachine();
    const script = `#!/bin/sh\\n${impostorLines("2.15.1").replaceAll('"', '\\"')}\\n`;
    program(
      place.bin,
      "go",
      `test "$1 $2" = "install github.com/nats-io/nats-server/v2@v2.15.1" || exit 9`,
      `printf "${script}" > "$GOBIN/nats-server"`,
      `/bin/chmod +x "$GOBIN/nats-server"`,
    );
    expect(await find(place)).toMatchObject({ version: "2.15.1", source: "go" });
    expect(place.said.join("\n")).toMatch(/release: passed over: .*ECONNREFUSED/);
  });

  test("passes over a Go that fails, with its own words", async () => {
    const place = bareMachine();
    program(place.bin, "go", "echo 'go: verifying module: 403 Forbidden' >&2", "exit 1");
    expect((await notFound(place)).message).toMatch(
      /go: passed over: go install .*: exit 1: go: verifying module: 403 Forbidden/,
    );
  });

  test("unpacks the newer suite's package with the machine's mirror and key", async () => {
    const place = bareMachine();
    place.env.PARLEY_APT_DIR = join(place.root, "apt");
    mkdirSync(join(place.env.PARLEY_APT_DIR, "sources.list.d"), { recursive: true });
    writeFileSync(
      join(place.env.PARLEY_APT_DIR, "sources.list.d", "debian.sources"),
      "Types: deb\nURIs: http://mirror.invalid/debian\nSuites: bookworm\nComponents: main\n" +
        "Signed-By: /usr/share/keyrings/key.gpg\n",
    );
    program(
      place.bin,
      "apt-get",
      `test "$1 $2" = "-q -c" || exit 9`,
      `case "$4 $5" in`,
      `"update ") /bin/cat "$3" sources.list > "${place.root}/seen" ;;`,
      `"download nats-server") echo package > nats-server_2.15.1-1_test.deb ;;`,
      "*) exit 8 ;;",
      "esac",
    );
    const sbin = join("usr", "sbin");
    program(
      place.bin,
      "dpkg-deb",
      `test "$1" = -x && test "$(/bin/cat "$2")" = package || exit 7`,
      `/bin/mkdir -p "$3/${sbin}"`,
      `/bin/cp "${impostor(join(place.root, "p"), "2.15.1")}" "$3/${sbin}/nats-server"`,
    );
    expect(await find(place)).toMatchObject({ version: "2.15.1", source: "debian" });
    const seen = readFileSync(join(place.root, "seen"), "utf8");
    expect(seen).toContain(
      "deb [target=Packages signed-by=/usr/share/keyrings/key.gpg] " +
        "http://mirror.invalid/debian sid main\n",
    );
    expect(seen).toContain("#clear APT::Update::Post-Invoke;");
  });

  test("says every step and exact commands when there is none", async () => {
    const error = await notFound(bareMachine());
    for (const step of ["PATH: no nats-server", "cache: no", "release: ", "go: ", "debian: "]) {
      expect(error.passedOver.filter((line) => line.startsWith(step))).toHaveLength(1);
    }
    expect(error.message).toContain("go install github.com/nats-io/nats-server/v2@v2.15.1");
    expect(error.message).toContain("NATS_SERVER_BIN");
  });

  test("asks nobody when offline", async () => {
    const { url, asked } = await mirror();
    const place = bareMachine({ PARLEY_NATS_MIRROR: url, PARLEY_OFFLINE: "1" });
    program(place.bin, "go", `echo ran > "${place.root}/ran"`);
    expect((await notFound(place)).message).toMatch(/offline was asked for/);
    expect(asked).toEqual([]);
    expect(readdirSync(place.root)).not.toContain("ran");
  });
});

// Real networks and builds; run by hand or at night.
describe.skipIf(process.env.PARLEY_SLOW !== "1")(
  "the search on this machine (PARLEY_SLOW=1)",
  () => {
    test("gets a real server from somewhere", { timeout: 900_000 }, async () => {
      const place = bareMachine();
      const { PATH = "", HOME = "" } = process.env;
      const folders = PATH.split(":").filter((folder) => !folder.includes("nats"));
      Object.assign(place.env, { PATH: folders.join(":"), HOME });
      delete place.env.PARLEY_NATS_MIRROR;
      const found = await find(place);
      const version = spawnSync(found.binary, ["-v"], { encoding: "utf8" }).stdout;
      expect(version).toContain(`nats-server: v${found.version}`);
    });
  },
);
