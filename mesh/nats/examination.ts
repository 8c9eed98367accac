// What can be asked of a running server about itself: facts for `parley doctor` and reports.
import type { NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { credsAuth } from "./identity/authenticator.ts";
import type { Creds } from "./identity/creds.ts";
import { differences, type ProvisionOptions, streamConfigs } from "./provision.ts";

export interface ServerFacts {
  name: string;
  version: string;
  /** How long an acknowledged write may stay unsynced, ms; 0 when each is synced. */
  syncIntervalMs: number;
  maxPayload: number;
  maxControlLine: number;
  /** Consumers that a stream may have when it does not say so itself; absent: no limit. */
  consumersDefaultMax: number | undefined;
  /** The server's clock, ms since the epoch, and how well it is known, ms either way. */
  clock: { at: number; readAt: number; within: number };
}

interface Varz {
  server_name?: string;
  version?: string;
  now?: string;
  max_payload?: number;
  max_control_line?: number;
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
    return varz === undefined ? undefined : factsOf(varz, sentAt, readAt);
  } finally {
    await nc.close();
  }
}

function factsOf(varz: Varz, sentAt: number, readAt: number): ServerFacts {
  const { config, limits } = varz.jetstream ?? {};
  return {
    name: varz.server_name ?? "",
    version: varz.version ?? "",
    syncIntervalMs: config?.sync_always === true ? 0 : (config?.sync_interval ?? 0) / 1e6,
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
