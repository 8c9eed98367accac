// Streams and buckets as code: made when absent, verified when present, never silently different.
// The settings themselves: stream-configs.ts.
import { setTimeout as pause } from "node:timers/promises";
import {
  type JetStreamManager,
  jetstreamManager,
  type StreamConfig,
  type StreamInfo,
} from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { type NatsConnection, TimeoutError } from "@nats-io/nats-core";
import {
  AGENTS_BUCKET,
  ARTEFACTS_BUCKET,
  ParleyError,
  TASKS_BUCKET,
  TASKS_STREAM,
} from "../../contracts/index.ts";
import {
  consumerConfigs,
  type ProvisionOptions,
  streamConfigs,
  type Wanted,
} from "./stream-configs.ts";

export { type ProvisionOptions, streamConfigs } from "./stream-configs.ts";

/** JetStream is temporarily unavailable, or not enabled for this account. The client hides the
 * number of the second behind an error of its own. */
const NOT_YET: ReadonlySet<unknown> = new Set([10_008, 10_039]);
const AWAKE_MS = 15_000;

/** Makes what is absent and checks what is there. Throws when something differs in substance. */
export async function provision(nc: NatsConnection, o: ProvisionOptions = {}): Promise<void> {
  const say = o.say ?? (() => undefined);
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  await awake(jsm);
  for (const wanted of streamConfigs(o)) await ensureStream(jsm, wanted, say);
  for (const wanted of consumerConfigs(o)) await ensureConsumer(jsm, wanted);
  // Made as streams, to have settings that the bucket call lacks; they must still be buckets to
  // every tool that knows buckets.
  const kvm = new Kvm(nc);
  for (const name of [TASKS_BUCKET, AGENTS_BUCKET]) {
    await (await kvm.open(name, { allow_direct: true })).status();
  }
  say("streams, buckets and consumers are in place");
}

/** How many copies there are of what the mesh keeps; undefined where it keeps nothing yet. */
export async function copiesThere(nc: NatsConnection): Promise<number | undefined> {
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  await awake(jsm);
  return (await infoOf(jsm, TASKS_STREAM))?.config.num_replicas;
}

async function infoOf(jsm: JetStreamManager, stream: string): Promise<StreamInfo | undefined> {
  return jsm.streams.info(stream).catch((error: unknown) => {
    if (/not found/i.test(String(error))) return undefined;
    throw error;
  });
}

function isTimeout(error: unknown): boolean {
  return error instanceof TimeoutError || (error as Error).cause instanceof TimeoutError;
}

/** A member of a cluster that has just started may know the account and not yet its store. */
async function awake(jsm: JetStreamManager): Promise<void> {
  const end = performance.now() + AWAKE_MS;
  for (;;) {
    const error = await jsm.getAccountInfo().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (error === undefined) return;
    const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
    const soon = NOT_YET.has(code) || NOT_YET.has(cause?.code) || isTimeout(error);
    if (!soon || performance.now() > end) throw error;
    await pause(100);
  }
}

async function ensureStream(
  jsm: JetStreamManager,
  wanted: Wanted,
  say: (line: string) => void,
): Promise<void> {
  const found = await infoOf(jsm, wanted.name);
  if (found === undefined) {
    await jsm.streams.add(wanted as unknown as Partial<StreamConfig> & { name: string });
    say(`made stream ${wanted.name}`);
    return;
  }
  const differing = differences(found.config, wanted);
  if (differing.length === 0) return bringUpToDate(jsm, found.config, wanted, say);
  if (differing.length === 1 && differing[0] === "num_replicas") {
    const { num_replicas } = found.config;
    throw otherCopies(`stream ${wanted.name}`, num_replicas, wanted.num_replicas);
  }
  throw new ParleyError(
    "E_STORE",
    `stream ${wanted.name} is there with other settings (${differing.join(", ")}); ` +
      `use another server or account, or remove it with: nats stream rm ${wanted.name}`,
  );
}

/** Artefacts were once kept for a week only, whatever their task. Other streams, and a longer time,
 * are an operator's to set. */
async function bringUpToDate(
  jsm: JetStreamManager,
  found: StreamConfig,
  wanted: Wanted,
  say: (line: string) => void,
): Promise<void> {
  if (wanted.name !== `OBJ_${ARTEFACTS_BUCKET}`) return;
  const longer = found.max_age === 0 || found.max_age >= Number(wanted.max_age);
  const differing = differences(found, wanted, longer ? ["allow_msg_ttl"] : KEPT_FOR);
  if (differing.length === 0) return;
  const changes = Object.fromEntries(differing.map((field) => [field, wanted[field]]));
  await jsm.streams.update(wanted.name, { ...found, ...changes } as StreamConfig);
  say(`brought ${differing.join(" and ")} of stream ${wanted.name} up to date`);
}

/** Settings but for the number of copies are brought up to date: work goes on with the new ones. */
async function ensureConsumer(
  jsm: JetStreamManager,
  wanted: ReturnType<typeof consumerConfigs>[number],
): Promise<void> {
  const name = wanted.durable_name;
  const found = await jsm.consumers.info(TASKS_STREAM, name).catch((error: unknown) => {
    if (/not found/i.test(String(error))) return undefined;
    throw error;
  });
  // 0: as many as the stream, which was looked at before.
  const there = found?.config.num_replicas || wanted.num_replicas;
  if (there !== wanted.num_replicas) {
    throw otherCopies(`consumer ${TASKS_STREAM} > ${name}`, there, wanted.num_replicas);
  }
  await jsm.consumers.add(TASKS_STREAM, wanted);
}

function otherCopies(what: string, there: number, wanted: unknown): ParleyError {
  return new ParleyError(
    "E_STORE",
    `${what} has ${there} ${there === 1 ? "copy" : "copies"}, this profile wants ${wanted}: ` +
      "start the profile that it was made with (parley doctor names it), or another store",
  );
}

/** Fields of a stream's configuration that are not as wanted. */
export function differences(
  found: object,
  wanted: Wanted,
  fields: readonly string[] = CHECKED,
): string[] {
  const there = found as Record<string, unknown>;
  return fields.filter(
    (field) =>
      wanted[field] !== undefined &&
      JSON.stringify(there[field] ?? null) !== JSON.stringify(wanted[field] ?? null),
  );
}

/** What must not differ: the safety of the protocol rests on it. */
const CHECKED = [
  "subjects",
  "max_msgs_per_subject",
  "discard",
  "discard_new_per_subject",
  "allow_rollup_hdrs",
  "num_replicas",
  "storage",
] as const;

const KEPT_FOR = ["max_age", "allow_msg_ttl"] as const;
