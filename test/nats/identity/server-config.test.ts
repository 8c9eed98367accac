import { execFile } from "node:child_process";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { credsAuth } from "../../../mesh/nats/identity/authenticator.ts";
import { type Home, initHome, systemCreds } from "../../../mesh/nats/identity/home.ts";
import {
  includePath,
  ROOT_CONFIG,
  serverConfig,
} from "../../../mesh/nats/identity/server-config.ts";
import { findServer } from "../../../mesh/nats/server/find-server.ts";
import { startServer } from "../../../mesh/nats/server/run-server.ts";
import { tempDir } from "../../support/nats-server.ts";

const ROOT_FILE = new URL("../../../nats-server.conf", import.meta.url);
const run = promisify(execFile);

let dir: string;
let remove: () => Promise<void>;
let home: Home;
let binary: string;
beforeAll(async () => {
  ({ dir, remove } = await tempDir());
  home = await initHome(join(dir, ".parley"), { name: "test" });
  ({ binary } = await findServer());
});
afterAll(() => remove());

describe("nats-server.conf at the root", () => {
  it("is what serverConfig writes", async () => {
    expect(await readFile(ROOT_FILE, "utf8")).toBe(serverConfig(ROOT_CONFIG));
  });

  it("is taken by the server beside a fresh .parley, with every setting in force", async () => {
    const configFile = join(dir, "nats-server.conf");
    await copyFile(ROOT_FILE, configFile);
    const { stderr } = await run(binary, ["-t", "-c", "nats-server.conf"], { cwd: dir });
    expect(stderr).toContain("configuration file nats-server.conf is valid");

    // Its own store_dir gives way here, because the runner brings one.
    await writeFile(
      configFile,
      serverConfig({
        include: ROOT_CONFIG.include,
        resolver: "full",
        accountsDir: join(dir, "accounts"),
      }),
    );
    const server = await startServer({ configFile });
    try {
      const nc = await connect({
        servers: server.url,
        authenticator: credsAuth(await systemCreds(home)),
      });
      const { data } = (await nc.request("$SYS.REQ.SERVER.PING.VARZ", "")).json<{ data: object }>();
      await nc.close();
      expect(data).toMatchObject({
        auth_timeout: 10,
        ping_interval: 10e9,
        ping_max: 2,
        max_payload: 1 << 20,
        max_control_line: 64 << 10,
        jetstream: { limits: { default_max_consumers: 20_000 } },
      });
    } finally {
      await server.stop();
    }
  });
});

describe("serverConfig", () => {
  it("is valid for the server with every option set", async () => {
    const configFile = join(dir, "all.conf");
    await writeFile(
      configFile,
      serverConfig({
        include: includePath(configFile, join(home.dir, "nats-auth.conf")),
        resolver: "full",
        accountsDir: join(dir, 'acc "quoted"'),
        storeDir: join(dir, "store"),
        host: "127.0.0.1",
        port: 4333,
        monitorPort: 8333,
        serverName: "n1",
        sync: "durable",
        cluster: { name: "c", port: 6333, routes: ["nats://127.0.0.1:6334"] },
      }),
    );
    await expect(run(binary, ["-t", "-c", configFile])).resolves.toBeTruthy();
  });

  it("asks for the folder that a full resolver needs", () => {
    expect(() => serverConfig({ include: "x", resolver: "full" })).toThrow(/accountsDir/);
  });

  it("writes include paths relative, since the server joins even absolute ones", () => {
    expect(includePath("/srv/a/server.conf", "/srv/a/nats-auth.conf")).toBe("./nats-auth.conf");
    expect(includePath("/srv/a/server.conf", "/home/x/n.conf")).toBe("../../home/x/n.conf");
  });
});
