// Streams and buckets as code: made when absent, verified when present, never silently different.
// Settings close the holes of nats-facts 4.4: streams that agents write take no rollups and no
// schedules; the registry is a read-only bucket fed by an ingest stream.
import { type JetStreamManager, jetstreamManager, type StreamConfig } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/nats-core";
import {
  ACK_WAIT_MS,
  AGENTS_BUCKET,
  AGENTS_STREAM,
  ARTEFACTS_BUCKET,
  AUDIT_STREAM,
  JANITOR_CONSUMER,
  KEYS_STREAM,
  ParleyError,
  patterns,
  REGISTRY_STREAM,
  streamSubjects,
  supervisionConsumer,
  TASKS_BUCKET,
  TASKS_STREAM,
  URGENCY,
} from "../../contracts/index.ts";

export interface ProvisionOptions {
  replicas?: number;
  /** Keep a copy of every record for audits; costs the server a second write each. */
  audit?: boolean;
  storage?: "file" | "memory";
  say?: (line: string) => void;
}

const NANOS = 1e6;
const SECOND = 1_000 * NANOS;

type Wanted = Record<string, unknown> & { name: string };

type Common = Record<string, unknown>;

export function streamConfigs(o: ProvisionOptions): Wanted[] {
  const common: Common = {
    num_replicas: o.replicas ?? 1,
    storage: o.storage ?? "file",
    allow_direct: true,
    max_consumers: 20_000,
  };
  const audit = o.audit === false ? [] : [auditStream(common)];
  return [tasksStream(common), ...cardStreams(common), artefactsStream(common), ...audit];
}

function tasksStream(common: Common): Wanted {
  return {
    ...common,
    name: TASKS_STREAM,
    subjects: [streamSubjects.tasks],
    max_msgs_per_subject: 1,
    // Written once: without the second line a newer record would take an older one's place.
    discard: "new",
    discard_new_per_subject: true,
    allow_rollup_hdrs: false,
    deny_purge: false,
    deny_delete: true,
    // The retry horizon of an unknown write, and no longer: it costs memory for every write.
    duplicate_window: 30 * SECOND,
    max_msg_size: 1024 * 1024,
    republish: streamSubjects.recordRepublish,
    description: "Parley: records of tasks",
  };
}

function cardStreams(common: Common): Wanted[] {
  const ingest = {
    ...common,
    max_msgs_per_subject: 1,
    allow_rollup_hdrs: false,
    deny_delete: true,
    duplicate_window: SECOND / 10,
    max_msg_size: 256 * 1024,
  };
  return [
    {
      ...ingest,
      name: REGISTRY_STREAM,
      subjects: [streamSubjects.registrations],
      discard: "new",
      deny_purge: true,
      allow_msg_ttl: true,
      description: "Parley: cards as agents send them",
    },
    {
      ...common,
      name: AGENTS_STREAM,
      max_msgs_per_subject: 1,
      discard: "new",
      allow_msg_ttl: true,
      subject_delete_marker_ttl: 5 * SECOND,
      sources: [{ name: REGISTRY_STREAM, subject_transforms: [streamSubjects.cardsIngest] }],
      republish: streamSubjects.cardRepublish,
      description: "Parley: agents that are here, read-only",
    },
    {
      ...ingest,
      name: KEYS_STREAM,
      subjects: [streamSubjects.keys],
      discard: "old",
      deny_purge: false,
      description: "Parley: cards kept to prove records with",
    },
  ];
}

/** Each artefact is written once under a random id; nobody replaces it. */
function artefactsStream(common: Common): Wanted {
  return {
    ...common,
    name: `OBJ_${ARTEFACTS_BUCKET}`,
    subjects: [`$O.${ARTEFACTS_BUCKET}.C.>`, `$O.${ARTEFACTS_BUCKET}.M.>`],
    max_msgs_per_subject: 1,
    discard: "new",
    discard_new_per_subject: true,
    allow_rollup_hdrs: false,
    deny_purge: false,
    max_msg_size: 1024 * 1024,
    max_age: 7 * 24 * 3_600 * SECOND,
    duplicate_window: SECOND / 10,
    description: "Parley: inputs and results too large for a record",
  };
}

function auditStream(common: Common): Wanted {
  return {
    ...common,
    name: AUDIT_STREAM,
    discard: "old",
    deny_delete: true,
    deny_purge: true,
    max_age: 30 * 24 * 3_600 * SECOND,
    max_bytes: 4 * 1024 ** 3,
    sources: [{ name: TASKS_STREAM, subject_transforms: [streamSubjects.audit] }],
    description: "Parley: every record that was ever stored",
  };
}

/** Makes what is absent and checks what is there. Throws when something differs in substance. */
export async function provision(nc: NatsConnection, o: ProvisionOptions = {}): Promise<void> {
  const say = o.say ?? (() => undefined);
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  for (const wanted of streamConfigs(o)) await ensureStream(jsm, wanted, say);
  for (const urgency of URGENCY) {
    await jsm.consumers.add(TASKS_STREAM, {
      durable_name: supervisionConsumer(urgency),
      ack_policy: "explicit",
      filter_subject: patterns.specs(urgency),
      ack_wait: ACK_WAIT_MS * NANOS,
      max_ack_pending: 100_000,
      max_waiting: 4_096,
      deliver_policy: "all",
    });
  }
  await jsm.consumers.add(TASKS_STREAM, {
    durable_name: JANITOR_CONSUMER,
    ack_policy: "explicit",
    filter_subject: patterns.outcomes,
    ack_wait: 30 * SECOND,
    max_ack_pending: 1_000_000,
    deliver_policy: "all",
  });
  // Made as streams, to have settings that the bucket call lacks; they must still be buckets to
  // every tool that knows buckets.
  const kvm = new Kvm(nc);
  for (const name of [TASKS_BUCKET, AGENTS_BUCKET]) {
    await (await kvm.open(name, { allow_direct: true })).status();
  }
  say("streams, buckets and consumers are in place");
}

async function ensureStream(
  jsm: JetStreamManager,
  wanted: Wanted,
  say: (line: string) => void,
): Promise<void> {
  const found = await jsm.streams.info(wanted.name).catch((error: unknown) => {
    if (/not found/i.test(String(error))) return undefined;
    throw error;
  });
  if (found === undefined) {
    await jsm.streams.add(wanted as unknown as Partial<StreamConfig> & { name: string });
    say(`made stream ${wanted.name}`);
    return;
  }
  const differing = differences(found.config, wanted);
  if (differing.length === 0) return;
  throw new ParleyError(
    "E_STORE",
    `stream ${wanted.name} is there with other settings (${differing.join(", ")}); ` +
      `use another server or account, or remove it with: nats stream rm ${wanted.name}`,
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
