// The small parts below the search: versions, mirrors, archives, downloads, child processes.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cacheFolder } from "../../../mesh/nats/server/cache.ts";
import { failureOf, findOnPath, runChild } from "../../../mesh/nats/server/child.ts";
import { mirrorsInDeb822, mirrorsInList, pickMirror } from "../../../mesh/nats/server/debian.ts";
import { download } from "../../../mesh/nats/server/download.ts";
import { fileFromTarGz } from "../../../mesh/nats/server/untar.ts";
import { compareVersions, versionIn } from "../../../mesh/nats/server/version.ts";
import { httpServer, program, scratchFolder, tarGz } from "./fixtures.ts";

describe("versions", () => {
  test.each([
    ["2.14.3", "2.14.10", -1],
    ["2.15.0-dev", "2.15.0", -1],
    ["2.15.1", "2.15.1", 0],
    ["nats-server: v3.0.0", "2.99.99", 1],
  ])("%s against %s", (a, b, sign) => {
    expect(Math.sign(compareVersions(a, b))).toBe(sign);
    expect(Math.sign(compareVersions(b, a))).toBe(-sign || 0);
  });

  test("are found in a program's output, or not", () => {
    expect(versionIn("nats-server: v2.15.1\n")).toBe("2.15.1");
    expect(versionIn("no version")).toBeUndefined();
    expect(() => compareVersions("x", "1.0.0")).toThrow(TypeError);
  });
});

describe("configured package mirrors", () => {
  test("of the one-line format", () => {
    const text = `# deb http://no.invalid/debian sid main
deb-src http://no.invalid/debian bookworm main
deb [arch=amd64 signed-by=/keys/d.gpg] http://a.invalid/debian bookworm main
deb http://b.invalid/ubuntu/ noble universe`;
    expect(mirrorsInList(text)).toEqual([
      { uri: "http://a.invalid/debian", signedBy: "/keys/d.gpg" },
      { uri: "http://b.invalid/ubuntu/" },
    ]);
  });

  test("of the paragraph format, without those that are off or only for sources", () => {
    const text = `# comment
Types: deb deb-src
# between
URIs: http://a.invalid/debian http://b.invalid/debian
Suites: trixie
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----

Enabled: no
Types: deb
URIs: http://off.invalid/debian

Types: deb-src
URIs: http://src.invalid/debian
`;
    expect(mirrorsInDeb822(text)).toEqual([
      { uri: "http://a.invalid/debian" },
      { uri: "http://b.invalid/debian" },
    ]);
  });

  test("only that of a distribution whose newer suite is known is taken", () => {
    const uris = ["https://vendor.invalid/apt", "http://x.invalid/debian-security"];
    const [vendor, security] = uris.map((uri) => ({ uri }));
    const ubuntu = { uri: "http://x.invalid/ubuntu/" };
    expect(pickMirror([vendor!, security!, ubuntu])).toBe(ubuntu);
    expect(pickMirror([vendor!, security!])).toBeUndefined();
  });
});

describe("one file out of an archive", () => {
  const archive = tarGz({ "d/a": "first", "d/nats-server": "x".repeat(700), "d/z": "last" });

  test("is found by its whole path only", () => {
    expect(fileFromTarGz(archive, "d/nats-server", 1e6).toString()).toBe("x".repeat(700));
    expect(fileFromTarGz(archive, "d/z", 1e6).toString()).toBe("last");
    expect(() => fileFromTarGz(archive, "nats-server", 1e6)).toThrow("not in the archive");
  });

  test("never grows beyond the limit", () => {
    const bomb = gzipSync(Buffer.alloc(10_000_000));
    expect(() => fileFromTarGz(bomb, "d/a", 1_000_000)).toThrow(RangeError);
  });

  test("any other bytes are an error, not a crash or a file", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000 }), (bytes) => {
        expect(() => fileFromTarGz(gzipSync(bytes), "d/a", 1e6)).toThrow(Error);
        expect(() => fileFromTarGz(Buffer.from(bytes), "d/a", 1e6)).toThrow(Error);
      }),
    );
  });
});

describe("a download", () => {
  const limits = {
    connectTimeoutMs: 2_000,
    silenceTimeoutMs: 2_000,
    totalTimeoutMs: 4_000,
    bytesMax: 1_000,
  };

  test("follows redirects, a few", async () => {
    const { url, asked } = await httpServer((request, response) => {
      if (request.url === "/end") response.end("here");
      else if (request.url === "/loop") response.writeHead(302, { location: "/loop" }).end();
      else response.writeHead(302, { location: "/end" }).end();
    });
    expect((await download(new URL("/start", url), {}, limits)).toString()).toBe("here");
    await expect(download(new URL("/loop", url), {}, limits)).rejects.toThrow("more than 5 times");
    expect(asked).toHaveLength(8);
  });

  test("ends at its limits of size, silence and connection, and on an error status", async () => {
    const { url } = await httpServer((request, response) => {
      if (request.url === "/large") response.end("x".repeat(1_001));
      else if (request.url === "/stalls") response.write("some");
      else if (request.url === "/gone") response.writeHead(404).end();
    });
    const at = (path: string) => new URL(path, url);
    await expect(download(at("/large"), {}, limits)).rejects.toThrow("larger than 1000 bytes");
    await expect(download(at("/gone"), {}, limits)).rejects.toThrow("answered 404 for /gone");
    const hasty = { ...limits, silenceTimeoutMs: 50, connectTimeoutMs: 60 };
    await expect(download(at("/stalls"), {}, hasty)).rejects.toThrow("fell silent");
    await expect(download(at("/never"), {}, hasty)).rejects.toThrow("no answer from");
    const short = { ...limits, totalTimeoutMs: 60 };
    await expect(download(at("/never"), {}, short)).rejects.toThrow("did not deliver within");
    await expect(download(at("/stalls"), {}, short)).rejects.toThrow("did not deliver within");
  });

  test("goes through the proxy that the environment names", async () => {
    const proxy = await httpServer((_request, response) => response.end("by proxy"));
    const url = new URL("http://releases.invalid/file");
    const bytes = await download(url, { HTTP_PROXY: proxy.url }, limits);
    expect(bytes.toString()).toBe("by proxy");
    expect(proxy.asked).toEqual(["http://releases.invalid/file"]);
  });
});

describe.skipIf(process.platform === "win32")("other programs", () => {
  test("are stopped at their time limit, whatever holds their output open", async () => {
    const slow = program(scratchFolder(), "slow", "/bin/sleep 2 & wait");
    const result = await runChild(slow, [], { env: {}, timeoutMs: 100 });
    expect(failureOf(result)).toBe("stopped after 0.1 s");
  });

  test("get the environment that was given and no other", async () => {
    const shows = program(scratchFolder(), "shows", 'echo "$A$HOME"');
    const result = await runChild(shows, [], { env: { A: "given" }, timeoutMs: 5_000 });
    expect(result.stdout).toBe("given\n");
  });

  test("are looked up in order, files that can be run only", () => {
    const root = scratchFolder();
    const [a, b] = [join(root, "a"), join(root, "b")];
    mkdirSync(join(root, "c", "tool"), { recursive: true });
    const files = [program(a, "tool", ""), program(b, "tool", "")];
    expect(findOnPath("tool", { PATH: `${a}::${join(root, "c")}:${b}:${a}` })).toEqual(files);
  });
});

test("the cache folder is the project's, the XDG one, or below home", () => {
  expect(cacheFolder({ PARLEY_CACHE: "/p", XDG_CACHE_HOME: "/x", HOME: "/h" })).toBe("/p");
  expect(cacheFolder({ XDG_CACHE_HOME: "/x", HOME: "/h" })).toBe(join("/x", "parley"));
  expect(cacheFolder({ HOME: "/h" })).toBe(join("/h", ".cache", "parley"));
});
