// A parked task whose input travels by reference: what the artefact of the first one is worth.
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { credsAuth } from "../../mesh/nats/identity/authenticator.ts";
import { mintUser } from "../../mesh/nats/identity/identities.ts";
import { CliMesh } from "../support/cli-mesh.ts";

let mesh: CliMesh;

beforeAll(async () => {
  mesh = await CliMesh.start();
}, 30_000);
afterAll(() => mesh?.stop());

describe("parley task redrive", { timeout: 30_000 }, () => {
  /** What time does to an artefact, at once. */
  const remove = async (ref: string) => {
    const { home, server } = mesh.local;
    const creds = await mintUser(home, { name: "clock", role: "admin" });
    const nc = await connect({ servers: server.url, authenticator: credsAuth(creds) });
    const [bucket, id] = ref.split("/");
    const jsm = await jetstreamManager(nc);
    const { purged } = await jsm.streams.purge(`OBJ_${bucket}`, {
      filter: `$O.${bucket}.C.${id}-0`,
    });
    expect(purged).toBe(1);
    await nc.close();
  };

  const fail = async (input: unknown) => {
    const args = ["submit", "fail", "-", "--wait", "--retries", "0", "--json"];
    const { task } = JSON.parse((await mesh.run(args, {}, JSON.stringify(input))).out);
    return { task, ref: (await mesh.json(["task", "get", task])).spec.inputRef };
  };

  it("seals a large input anew; one that is gone costs the others nothing", async () => {
    const large = { text: "x".repeat(1_000_000) };
    const [kept, gone, small] = [await fail(large), await fail(large), await fail({})];
    await remove(gone.ref.$ref);
    const ids = [gone.task, kept.task, small.task];
    const { out, err, code } = await mesh.run(["task", "redrive", ...ids, "--json"]);
    expect(code).not.toBe(0);
    expect(err).toContain(`not kept any more: ${gone.task}`);
    const made = JSON.parse(out) as { task: string; redriveOf: string }[];
    expect(made.map((m) => m.redriveOf)).toEqual([kept.task, small.task]);
    const { spec } = await mesh.json(["task", "get", made[0]?.task ?? ""]);
    expect(spec.inputRef).toMatchObject({ bytes: kept.ref.bytes });
    expect(spec.inputRef.$ref).not.toBe(kept.ref.$ref);
  });
});
