// What can be asked of a running server about itself: facts for `parley doctor` and reports.
import type { NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { credsAuth } from "./identity/authenticator.ts";
import type { Creds } from "./identity/creds.ts";
import { differences, type ProvisionOptions, streamConfigs } from "./provision.ts";
import { type Standing, standing } from "./server/standing.ts";
import { consumerConfigs } from "./stream-configs.ts";

export interface ServerFacts {
  name: string;
  version: string;
  /** How long an acknowledged write may stay unsynced, ms; 0 when each is synced. Of several
   * servers the longest. */
  syncIntervalMs: number;
  copies: CopyFacts;
  maxPayload: number;
  maxControlLine: number;
  /** Consumers that a stream may have when it does not say so itself; absent: no limit. */
  consumersDefaultMax: number | undefined;
  /** The server's clock, ms since the epoch, and how well it is known, ms either way. */
  clock: { at: number; readAt: number; within: number };
}

/** How many servers there are, and how many of them hold what the mesh keeps. */
export interface CopyFacts {
  /** Servers that answered, and that should have; 1 of 1 without a cluster. */
  servers: number;
  serversMax: number;
  /** Copies of what has fewest, and what that is. */
  fewest: number;
  fewestOf: string;
  /** Copies that are missing or behind, in words. */
  behind: string[];
}

interface Varz {
  server_name?: string;
  version?: string;
  now?: string;
  max_payload?: number;
  max_control_line?: number;
  /** `urls`: the other servers that it was told of, itself among them or not. */
  cluster?: { urls?: string[] };
  jetstream?: {
    config?: { sync_interval?: number; sync_always?: boolean };
    limits?: { default_max_consumers?: number };
  };
}

/** Asks the server through its system account. Undefined when it does not answer. */
export async function serverFacts(
  servers: string | string[],
  system: Creds,
  timeoutMs: number,
): Promise<ServerFacts | undefined> {
  const nc = await connect({
    servers,
    name: "parley doctor",
    authenticator: credsAuth(system),
    timeout: timeoutMs,
    maxReconnectAttempts: 0,
  });
  try {
    const sentAt = Date.now();
    const answer = await nc.request(`$SYS.REQ.SERVER.${nc.info?.server_id}.VARZ`, "", {
      timeout: timeoutMs,
    });
    const readAt = Date.now();
    const varz = answer.json<{ data?: Varz }>().data;
    if (varz === undefined) return undefined;
    const now = await standing(nc, (varz.cluster?.urls?.length ?? 0) + 1, timeoutMs);
    const facts = factsOf(varz, sentAt, readAt);
    const others = await Promise.all(
      now.servers.map((name) => syncOf(nc, name, timeoutMs).catch(() => undefined)),
    );
    const syncIntervalMs = Math.max(facts.syncIntervalMs, ...others.map((ms) => ms ?? 0));
    return { ...facts, syncIntervalMs, copies: copiesOf(now) };
  } finally {
    await nc.close();
  }
}

/** By its name: identifiers are not in what the servers say of each other. */
async function syncOf(nc: NatsConnection, name: string, timeout: number): Promise<number> {
  const body = JSON.stringify({ server_name: name, exact_match: true });
  const answer = await nc.request("$SYS.REQ.SERVER.PING.VARZ", body, { timeout });
  return syncMs(answer.json<{ data?: Varz }>().data);
}

function syncMs(varz: Varz | undefined): number {
  const { config } = varz?.jetstream ?? {};
  return config?.sync_always === true ? 0 : (config?.sync_interval ?? 0) / 1e6;
}

/** Of the streams and consumers that the mesh makes; others are nobody's promise. */
function copiesOf(now: Standing): CopyFacts {
  const streams = new Set(streamConfigs({}).map((s) => s.name));
  const consumers = new Set(consumerConfigs().map((c) => c.durable_name));
  const facts: CopyFacts = {
    servers: now.servers.length,
    serversMax: Math.max(now.size, 1),
    fewest: Number.POSITIVE_INFINITY,
    fewestOf: "",
    behind: [],
  };
  for (const { stream, consumer, leader, others } of now.groups) {
    if (!streams.has(stream) || (consumer !== undefined && !consumers.has(consumer))) continue;
    const what = consumer === undefined ? stream : `${stream} > ${consumer}`;
    if (others.length + 1 < facts.fewest) {
      facts.fewest = others.length + 1;
      facts.fewestOf = what;
    }
    if (now.size > 0 && leader === undefined) facts.behind.push(`${what} has no leader`);
    for (const { name, current } of others) {
      if (!current) facts.behind.push(`${what} on ${name}`);
    }
  }
  return facts;
}

function factsOf(varz: Varz, sentAt: number, readAt: number): Omit<ServerFacts, "copies"> {
  const { limits } = varz.jetstream ?? {};
  return {
    name: varz.server_name ?? "",
    version: varz.version ?? "",
    syncIntervalMs: syncMs(varz),
    maxPayload: varz.max_payload ?? 0,
    maxControlLine: varz.max_control_line ?? 0,
    consumersDefaultMax: limits?.default_max_consumers,
    clock: {
      at: Date.parse(varz.now ?? ""),
      readAt: (sentAt + readAt) / 2,
      within: (readAt - sentAt) / 2,
    },
  };
}

export interface StreamFinding {
  name: string;
  /** Absent: the server would not say. */
  state: "missing" | "different" | "as wanted" | "not permitted";
  differing: string[];
  messages: number;
}

/** Compares the streams that are there with those that `provision` makes. Changes nothing. */
export async function examineStreams(
  nc: NatsConnection,
  timeoutMs: number,
  o: ProvisionOptions = {},
): Promise<StreamFinding[]> {
  const findings: StreamFinding[] = [];
  for (const wanted of streamConfigs(o)) {
    const info = await ask<{
      config?: Record<string, unknown>;
      state?: { messages?: number };
      error?: { code?: number };
    }>(nc, `$JS.API.STREAM.INFO.${wanted.name}`, timeoutMs);
    const finding: StreamFinding = {
      name: wanted.name,
      state: "not permitted",
      differing: [],
      messages: info?.state?.messages ?? 0,
    };
    findings.push(finding);
    if (info === undefined) continue;
    if (info.config === undefined) {
      finding.state = info.error?.code === 404 ? "missing" : "not permitted";
      continue;
    }
    // How many copies there are and where is the operator's choice; the rest is the protocol's.
    finding.differing = differences(info.config, wanted, EXAMINED);
    finding.state = finding.differing.length === 0 ? "as wanted" : "different";
  }
  return findings;
}

const EXAMINED = [
  "subjects",
  "max_msgs_per_subject",
  "discard",
  "allow_rollup_hdrs",
  "allow_direct",
  "deny_delete",
  "deny_purge",
  "allow_msg_ttl",
  "subject_delete_marker_ttl",
  "max_msg_size",
  "republish",
];

/** How many peers wait for specs at a supervision consumer. Undefined: it would not say. */
export async function pullers(
  nc: NatsConnection,
  stream: string,
  consumer: string,
  timeoutMs: number,
): Promise<number | undefined> {
  const info = await ask<{ num_waiting?: number }>(
    nc,
    `$JS.API.CONSUMER.INFO.${stream}.${consumer}`,
    timeoutMs,
  );
  return info?.num_waiting;
}

async function ask<T>(
  nc: NatsConnection,
  subject: string,
  timeout: number,
): Promise<T | undefined> {
  try {
    return (await nc.request(subject, "", { timeout })).json<T>();
  } catch {
    return undefined;
  }
}
