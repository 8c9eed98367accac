// `parley` without a mesh: usage, exit statuses, identities, where it would connect.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { lengthOf, requirement, weights } from "../../cli/lib/parse.ts";
import { findTarget } from "../../cli/lib/target.ts";
import { tempDir } from "../support/nats-server.ts";
import { parley } from "../support/program.ts";

let dir: string;
let remove: () => Promise<void>;

beforeAll(async () => {
  ({ dir, remove } = await tempDir());
});
afterAll(() => remove());

const run = (args: string[], env = {}, input?: string) => parley(args, dir, env, input);

describe("usage", () => {
  it("help starts with lines that can be copied", async () => {
    const { code, out } = await run(["--help"]);
    expect(code).toBe(0);
    expect(out.split("\n")[0]).toBe("Examples:");
    expect(out.split("\n")[1]).toMatch(/^ {2}parley up/);
    for (const name of [
      "up",
      "init",
      "identity",
      "agents",
      "caps",
      "submit",
      "call",
      "task",
      "doctor",
      "describe",
      "sim",
    ]) {
      expect(out).toMatch(new RegExp(`^ {2}${name}\\b`, "m"));
    }
  });

  it("a command that is unknown suggests the nearest one", async () => {
    const { code, out, err } = await run(["sumbit"]);
    expect(code).toBe(2);
    expect(out).toBe("");
    expect(err).toContain("unknown command 'sumbit'");
    expect(err).toContain("Did you mean submit?");
    expect(err).toContain("code: E_USAGE");
  });

  it("a file where a folder should be is wrong usage", async () => {
    const file = join(dir, "a-file");
    await writeFile(file, "");
    const home = await run(["agents", "--home", file]);
    expect([home.code, home.err]).toEqual([2, expect.stringMatching(/--home\) is no folder/)]);
    const store = await run(["up", "--port", "0", "--store", file]);
    expect([store.code, store.err]).toEqual([2, expect.stringMatching(/name a file or folder/)]);
  });

  it("wrong usage names the help of the command that was meant", async () => {
    const { err } = await run(["--home", ".", "task", "redrive"]);
    expect(err).toContain("next: parley task redrive");
    expect((await run(["trigger", "emit"])).err).toContain("next: parley trigger emit --help");
    expect((await run(["workflow", "run", "no-such-file.json"])).err).toMatch(
      /no-such-file.json'\n +next: parley workflow run --help/,
    );
  });

  it.each([
    ["what is no JSON", "{", 2, "the input is no JSON"],
    ["nothing", "", 2, "the input is no JSON"],
    ["too much", " ".repeat(64 * 1024 * 1024 + 1), 1, "more than 64 MiB on standard input"],
    [
      "a mark before the text, and more than a pipe holds",
      `\uFEFF{}${" ".repeat(1e6)}`,
      3,
      "no NATS",
    ],
  ])("an input in a pipe: %s", async (_what, input, status, text) => {
    const { code, err } = await run(["submit", "echo", "-"], { NATS_URL: "127.0.0.1:1" }, input);
    expect(err).toContain(text);
    expect(code).toBe(status);
  });

  it.each([
    [[]],
    [["submit"]],
    [["task", "ls", "--limit", "many"]],
    [["task", "ls", "--state", "runing"]],
    [["submit", "echo", "{oops"]],
    [["call", "echo", "{}", "--only"]],
    [["submit", "echo", "{}", "--deadline", "31d"]],
    [["submit", "echo", "{}", "--deadline", "2027-02-31T00:00:00Z"]],
    [["submit", "echo", "{}", "--timeout", "31d"]],
    [["submit", "echo", "{}", "--cap-version", "new"]],
    [["task", "answer", "ID"]],
    [["workflow", "run", "ann.report", "--virtual"]],
    [["agents", "--server", ""]],
    [["call", "echo", "{}", "--priority", "10"]],
    [["call", "echo", "{}", "--deadline", "2001-01-01T00:00:00Z"]],
    [["identity", "add", "bob", "--role", "king"]],
    [["agents", "--timeout", "5"]],
  ])("wrong usage is status 2: %j", async (args) => {
    const { code, out, err } = await run(args);
    expect([code, out]).toEqual([2, ""]);
    expect(err).not.toContain("    at ");
  });

  it.each([
    [["submit", "echo", "{oops"], /JSON/],
    [["task", "ls", "--limit", "many"], /--limit.*many/],
    [["sumbit"], /unknown command 'sumbit'\n.*submit/],
    [["agents", "--home", "no-such-folder"], /no-such-folder \(--home\) is not there/],
  ])("wrong usage as JSON is one object on standard error: %j", async (args, message) => {
    const { code, out, err } = await run([...args, "--json"]);
    expect([code, out]).toEqual([2, ""]);
    const { error } = JSON.parse(err);
    expect(error).toMatchObject({ code: "E_USAGE", next: expect.any(String) });
    expect(error.message).toMatch(message);
  });

  it("no server is status 3, with what to do next", async () => {
    const { code, out, err } = await run(["agents", "-s", "nats://127.0.0.1:1"]);
    expect([code, out]).toEqual([3, ""]);
    expect(err).toContain("no NATS server at nats://127.0.0.1:1");
    expect(err).toContain("next: parley up");
    expect(err).toContain("code: E_CONNECTION");
  });

  it("doctor says so too, and still gives its document", async () => {
    const { code, out } = await run(["doctor", "--json"], { NATS_URL: "nats://127.0.0.1:1" });
    expect(code).toBe(3);
    expect(JSON.parse(out)).toMatchObject([{ check: "server", verdict: "fail" }]);
  });
});

describe("describe", () => {
  it("gives a JSON Schema that names every message and record", async () => {
    const { code, out } = await run(["describe", "--json-schema"]);
    expect(code).toBe(0);
    const schema = JSON.parse(out);
    expect(schema.$schema).toContain("2020-12");
    expect(Object.keys(schema.$defs)).toEqual(
      expect.arrayContaining([
        "card",
        "spec",
        "cfp",
        "answer",
        "award",
        "contract",
        "outcome",
        "cancel",
        "failure",
      ]),
    );
    expect(schema.$defs.spec.required).toEqual(expect.arrayContaining(["task", "capability"]));
    // A field with a default may be left out by whoever writes a spec.
    expect(schema.$defs.spec.required).not.toContain("priority");
    expect(schema.$defs.award.properties.terms).toMatchObject({
      type: "string",
      contentEncoding: "binary",
    });
  });

  it("gives the grammar of subjects", async () => {
    const { out } = await run(["describe"]);
    expect(out).toContain("mesh.cfp.<capability>.<rung>.<P>.<A>");
  });
});

describe("identities", () => {
  const home = () => join(dir, "identities-home");
  const as = (...args: string[]) => run(args, { PARLEY_HOME: home() });

  it("init, add, ls, show, renew, revoke", { timeout: 30_000 }, async () => {
    expect((await as("identity", "ls")).err).toContain("parley init");
    const init = await as("init", "--mesh", "demo");
    expect([init.code, init.out]).toEqual([0, `${home()}\n`]);
    expect((await as("init")).code).toBe(1);

    const add = await as(
      "identity",
      "add",
      "alice",
      "--role",
      "agent",
      "--cap",
      "ocr,echo",
      "--expires",
      "30d",
    );
    expect(add.code).toBe(0);
    expect(await readFile(add.out.trim(), "utf8")).toContain("BEGIN NATS USER JWT");

    const [alice] = JSON.parse((await as("identity", "ls", "--json")).out);
    expect(alice).toMatchObject({
      name: "alice",
      role: "agent",
      state: "valid",
      capabilities: ["ocr", "echo"],
    });
    const days = (Date.parse(alice.expiresAt) - Date.parse(alice.issuedAt)) / 86_400_000;
    expect(days).toBe(30);
    const shown = await as("identity", "show", "alice");
    expect(shown.out).toContain("mesh.cfp.ocr.>");

    const before = await readFile(add.out.trim(), "utf8");
    const more = ["--cap", "chart", "--expires", "90d"];
    expect((await as("identity", "renew", "alice", ...more)).out).toBe(add.out);
    const [now] = JSON.parse((await as("identity", "ls", "--json")).out);
    expect(now.capabilities).toEqual(["ocr", "echo", "chart"]);
    expect(now.publicKey).toBe(alice.publicKey);
    expect((Date.parse(now.expiresAt) - Date.parse(now.issuedAt)) / 86_400_000).toBe(90);
    expect(await readFile(add.out.trim(), "utf8")).not.toBe(before);
    const nobody = await as("identity", "renew", "nobody");
    expect([nobody.code, nobody.err]).toEqual([4, expect.stringContaining("identity ls")]);

    const dry = await as("identity", "revoke", "alice", "--dry-run");
    expect(dry.err).toContain("would remove");
    expect(JSON.parse((await as("identity", "ls", "--json")).out)[0].state).toBe("valid");
    const revoke = await as("identity", "revoke", "alice");
    expect([revoke.code, revoke.out]).toEqual([0, "revoked alice\n"]);
    expect(JSON.parse((await as("identity", "ls", "--json")).out)[0].state).toBe("revoked");
    expect((await as("identity", "show", "nobody")).code).toBe(4);
  });
});

describe("where it connects, and as whom", () => {
  const context = async (name: string, value: object) => {
    await mkdir(join(dir, "config", "nats", "context"), { recursive: true });
    await writeFile(
      join(dir, "config", "nats", "context", `${name}.json`),
      JSON.stringify({ nkey: "", ...value }),
    );
  };
  const env = (extra = {}) => ({
    HOME: dir,
    XDG_CONFIG_HOME: join(dir, "config"),
    PARLEY_HOME: join(dir, "none"),
    ...extra,
  });

  it("flags, then the environment, then a context, then the default", async () => {
    await context("work", { url: "nats://context:1", user: "u", password: "p" });
    const target = (globals: object, extra = {}) => findTarget(globals, "read", env(extra));
    expect(await target({})).toMatchObject({
      servers: ["nats://127.0.0.1:4222"],
      serversFrom: "the default",
      credsFrom: "none",
    });
    expect(await target({ context: "work" })).toMatchObject({
      servers: ["nats://context:1"],
      serversFrom: "nats context work",
      credsFrom: "nats context work",
    });
    expect(await target({}, { NATS_CONTEXT: "work" })).toMatchObject({
      servers: ["nats://context:1"],
    });
    expect(await target({ context: "work" }, { NATS_URL: "nats://a:1, nats://b:2" })).toMatchObject(
      { servers: ["nats://a:1", "nats://b:2"], serversFrom: "NATS_URL" },
    );
    expect(await target({ server: "nats://flag:1" }, { NATS_URL: "nats://a:1" })).toMatchObject({
      servers: ["nats://flag:1"],
      serversFrom: "--server",
    });
    expect(await target({}, { NATS_TIMEOUT: "2m" })).toMatchObject({ timeoutMs: 120_000 });
  });

  it("the context that `nats context select` chose; a server that is up before it", async () => {
    await context("chosen", { url: "nats://chosen:1" });
    await writeFile(join(dir, "config", "nats", "context.txt"), "chosen\n");
    const home = join(dir, "up-home");
    await mkdir(home, { recursive: true });
    // A folder that was named is not left for another mesh, whatever is selected.
    const target = () => findTarget({ home }, "read", env());
    expect((await findTarget({}, "read", env())).servers).toEqual(["nats://chosen:1"]);
    expect((await target()).servers).toEqual(["nats://127.0.0.1:4222"]);
    const up = {
      url: "nats://127.0.0.1:7",
      home,
      pid: process.pid,
      serverPid: 1,
      profile: "dev",
      version: "2.15.1",
      store: "x",
      startedAt: "2026-01-01T00:00:00Z",
    };
    await writeFile(join(home, "up.json"), JSON.stringify(up));
    expect((await target()).servers).toEqual(["nats://127.0.0.1:7"]);
    await writeFile(join(home, "up.json"), JSON.stringify({ ...up, pid: 2 ** 22 + 1 }));
    expect((await target()).servers).toEqual(["nats://127.0.0.1:4222"]);
    await writeFile(join(dir, "config", "nats", "context.txt"), "");
  });

  it("a context or a file that is not there is said in words", async () => {
    await expect(findTarget({ context: "nope" }, "read", env())).rejects.toMatchObject({
      code: "E_NOT_FOUND",
    });
    await expect(
      findTarget({ creds: join(dir, "nope.creds") }, "read", env()),
    ).rejects.toMatchObject({ code: "E_USAGE" });
    await expect(findTarget({ creds: "op://vault/x" }, "read", env())).rejects.toThrow(/op:\/\//);
  });
});

describe("arguments", () => {
  it.each([
    ["250ms", 250],
    ["30s", 30_000],
    ["1.5s", 1_500],
    ["1h30m", 5_400_000],
    ["30d", 2_592_000_000],
    ["5", undefined],
    ["", undefined],
    ["-5s", undefined],
    ["5s!", undefined],
    ["0s", undefined],
    ["5 s", undefined],
  ])("length of time %j", (text, ms) => {
    expect(lengthOf(text)).toBe(ms);
  });

  it("requirements add up", () => {
    const read = (...texts: string[]) =>
      texts.reduce((held: object, text) => requirement(text, held as never), {});
    expect(read("gpu=true", "region=eu|us", "memory>=16", "memory<=64", "name=x=y")).toEqual({
      gpu: true,
      region: { in: ["eu", "us"] },
      memory: { min: 16, max: 64 },
      name: "x=y",
    });
    expect(() => read("memory")).toThrow(/name=value/);
    expect(() => read("memory>=much")).toThrow(/number/);
  });

  it("weights", () => {
    expect(weights("time=2,cost=0.5")).toEqual({ time: 2, cost: 0.5 });
    for (const text of ["tiem=2", "time", "time=-1", "time=1001", ""]) {
      expect(() => weights(text)).toThrow();
    }
  });
});

describe("parley up, where it cannot", () => {
  it("a port that is taken: says so, and what to do", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as { port: number };
    try {
      const home = join(dir, "port-home");
      const { code, out, err } = await run(["up", "--port", String(port), "--home", home]);
      expect([code, out]).toEqual([1, ""]);
      expect(err).toContain(`port ${port} is taken`);
      expect(err).toContain(`parley up --port ${port + 1}`);
      expect(err).toContain("code: E_PORT");
    } finally {
      taken.close();
    }
  });
});
