// The streams and buckets of a mesh as settings: what a server is given, and what the simulator's
// model of one is built from. Settings close the holes of nats-facts 4.4: streams that agents
// write take no rollups and no schedules; the registry is a read-only bucket fed by an ingest
// stream.
import {
  ACK_WAIT_MS,
  AGENTS_STREAM,
  ARTEFACT_MS_MAX,
  ARTEFACTS_BUCKET,
  AUDIT_STREAM,
  BOARD_BUCKET,
  EVENT_MESSAGE_BYTES_MAX,
  EVENTS_STREAM,
  JANITOR_CONSUMER,
  KEYS_STREAM,
  patterns,
  REGISTRY_STREAM,
  streamSubjects,
  supervisionConsumer,
  TASKS_STREAM,
  TRIGGERS_BUCKET,
  URGENCY,
  WORKFLOWS_BUCKET,
} from "../../contracts/index.ts";

export interface ProvisionOptions {
  /** Copies of every stream, bucket and consumer, on as many servers: 1 (default) or 3. */
  replicas?: number;
  /** Keep a copy of every record for audits; costs the server a second write each. */
  audit?: boolean;
  storage?: "file" | "memory";
  say?: (line: string) => void;
}

const NANOS = 1e6;
const SECOND = 1_000 * NANOS;

export type Wanted = Record<string, unknown> & { name: string };

type Common = Record<string, unknown>;

export function streamConfigs(o: ProvisionOptions): Wanted[] {
  const common: Common = {
    num_replicas: o.replicas ?? 1,
    storage: o.storage ?? "file",
    allow_direct: true,
    max_consumers: 20_000,
  };
  const audit = o.audit === false ? [] : [auditStream(common)];
  return [
    tasksStream(common),
    ...cardStreams(common),
    artefactsStream(common),
    ...sharedStreams(common),
    eventsStream(common),
    ...audit,
  ];
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

/** Cards are renewed within seconds. Their own TTL is what their author says, if anything. */
const CARD_AGE_MAX = 300 * SECOND;

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
      max_age: CARD_AGE_MAX,
      subjects: [streamSubjects.registrations],
      discard: "new",
      deny_purge: true,
      allow_msg_ttl: true,
      description: "Parley: cards as agents send them",
    },
    {
      ...common,
      name: AGENTS_STREAM,
      max_age: CARD_AGE_MAX,
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
    max_age: (ARTEFACT_MS_MAX / 1_000) * SECOND,
    allow_msg_ttl: true,
    duplicate_window: SECOND / 10,
    description: "Parley: inputs and results too large for a record",
  };
}

/** A definition is written once, so that a version stays what it was; the board is rewritten. */
function sharedStreams(common: Common): Wanted[] {
  const small = {
    ...common,
    max_msgs_per_subject: 1,
    allow_rollup_hdrs: false,
    deny_delete: true,
    deny_purge: false,
    duplicate_window: SECOND / 10,
  };
  return [
    {
      ...small,
      name: `KV_${WORKFLOWS_BUCKET}`,
      subjects: [streamSubjects.workflows],
      discard: "new",
      discard_new_per_subject: true,
      max_msg_size: 1024 * 1024,
      description: "Parley: definitions of workflows, by version",
    },
    {
      ...small,
      name: `KV_${BOARD_BUCKET}`,
      subjects: [streamSubjects.board],
      discard: "new",
      // No notices of an end: with them the server takes rollups, and one would wipe the board.
      allow_msg_ttl: true,
      max_msg_size: 64 * 1024,
      max_bytes: 256 * 1024 ** 2,
      republish: streamSubjects.boardRepublish,
      description: "Parley: what agents share on purpose",
    },
    {
      ...small,
      name: `KV_${TRIGGERS_BUCKET}`,
      subjects: [streamSubjects.triggers],
      discard: "new",
      max_msg_size: 256 * 1024,
      republish: streamSubjects.triggersRepublish,
      description: "Parley: what begins tasks by itself, and how far it is",
    },
  ];
}

/** Kept for as long as whoever waits for one may be away. */
function eventsStream(common: Common): Wanted {
  return {
    ...common,
    name: EVENTS_STREAM,
    subjects: [streamSubjects.events],
    discard: "old",
    allow_rollup_hdrs: false,
    deny_delete: true,
    deny_purge: true,
    max_age: 24 * 3_600 * SECOND,
    max_bytes: 256 * 1024 ** 2,
    max_msg_size: EVENT_MESSAGE_BYTES_MAX,
    republish: streamSubjects.eventsRepublish,
    description: "Parley: events that triggers wait for",
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

/** Open tasks of an urgency class in the whole mesh; more wait in the store. A hundred thousand
 * agents with 1.3 slots each can have 131,000. Measured on server 2.15.1: with 300,000 in hand,
 * each signalled every 1.75 s, writes are acknowledged within 80 ms and the server takes 250 MB. */
const SUPERVISED_MAX = 300_000;

/** The durable consumers of the tasks: supervision by urgency class, and the janitor's. */
export function consumerConfigs(o: ProvisionOptions = {}) {
  // Said, not inherited from the stream: a stream that is given more copies later keeps its
  // consumers as they are, and one copy of a consumer goes down with its server.
  const num_replicas = o.replicas ?? 1;
  const supervision = URGENCY.map((urgency) => ({
    durable_name: supervisionConsumer(urgency),
    ack_policy: "explicit" as const,
    filter_subject: patterns.specs(urgency),
    ack_wait: ACK_WAIT_MS * NANOS,
    max_ack_pending: SUPERVISED_MAX,
    max_waiting: 4_096,
    deliver_policy: "all" as const,
    num_replicas,
  }));
  const janitor = {
    durable_name: JANITOR_CONSUMER,
    ack_policy: "explicit" as const,
    filter_subject: patterns.outcomes,
    ack_wait: 30 * SECOND,
    max_ack_pending: 1_000_000,
    deliver_policy: "all" as const,
    num_replicas,
  };
  return [...supervision, janitor];
}
