// A mesh that an older version made: what is there stays, how long things are kept is brought up to
// date, and what the protocol's safety rests on is not touched.
import { jetstreamManager } from "@nats-io/jetstream";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ARTEFACT_MS_MAX, ARTEFACTS_BUCKET } from "../../contracts/index.ts";
import { NatsArtefacts } from "../../mesh/nats/artefacts.ts";
import { provision, streamConfigs } from "../../mesh/nats/provision.ts";
import { systemRandom } from "../../mesh/nats/system.ts";
import { NatsTransport } from "../../mesh/nats/transport.ts";
import { startMesh, type TestMesh } from "../support/nats-server.ts";

const STREAM = `OBJ_${ARTEFACTS_BUCKET}`;
const options = { audit: false, storage: "memory" } as const;
const WEEK_NS = 7 * 24 * 3_600 * 1e9;

let mesh: TestMesh;
beforeAll(async () => {
  mesh = await startMesh();
});
afterAll(() => mesh.stop());

test("how long artefacts are kept is brought up to date, and those there stay", async () => {
  const admin = await mesh.join("admin", "admin");
  const jsm = await jetstreamManager(admin, { checkAPI: false });
  const wanted = streamConfigs(options).find(({ name }) => name === STREAM);
  const before = { ...wanted, max_age: WEEK_NS, allow_msg_ttl: false };
  await jsm.streams.add(before as never);
  await admin.request(`$O.${ARTEFACTS_BUCKET}.C.old-0`, "kept");
  const said: string[] = [];
  await provision(admin, { ...options, say: (line) => said.push(line) });
  expect(said).toContain(`brought max_age and allow_msg_ttl of stream ${STREAM} up to date`);
  const { config, state } = await jsm.streams.info(STREAM);
  expect(config).toMatchObject({ max_age: ARTEFACT_MS_MAX * 1e6, allow_msg_ttl: true });
  expect(state.messages).toBe(1);
  const artefacts = new NatsArtefacts(
    new NatsTransport(admin),
    systemRandom(() => 0.5),
  );
  const ref = await artefacts.put(Buffer.from("new"), 0);
  expect(Buffer.from(await artefacts.get(ref)).toString()).toBe("new");
  await jsm.streams.update(STREAM, { ...config, max_age: 0 });
  said.length = 0;
  await provision(admin, { ...options, say: (line) => said.push(line) });
  expect(said).toEqual(["streams, buckets and consumers are in place"]);
  // An operator's own.
  expect((await jsm.streams.info(STREAM)).config.max_age).toBe(0);
});

test("who is newer than the mesh stores artefacts all the same", async () => {
  const admin = await mesh.join("newer", "admin");
  const jsm = await jetstreamManager(admin, { checkAPI: false });
  const { config } = await jsm.streams.info(STREAM);
  await jsm.streams.delete(STREAM);
  await jsm.streams.add({ ...config, max_age: WEEK_NS, allow_msg_ttl: false });
  const artefacts = new NatsArtefacts(new NatsTransport(admin), systemRandom());
  const ref = await artefacts.put(Buffer.from("new"), 1_000);
  expect(Buffer.from(await artefacts.get(ref)).toString()).toBe("new");
});
