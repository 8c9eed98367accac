// Who leads what in a cluster, asked of the servers themselves through the system account.
import type { NatsConnection } from "@nats-io/nats-core";

/** One stream or consumer as the servers see it. */
export interface Group {
  stream: string;
  /** Absent: the stream itself. */
  consumer?: string;
  /** Server names; undefined while there is none. */
  leader: string | undefined;
  /** Copies beside the leader's. */
  others: readonly { name: string; current: boolean; offline: boolean }[];
}

export interface Standing {
  /** Name of the server that leads the cluster's own records of what there is. */
  meta: string | undefined;
  /** Servers that belong to the cluster, there or not; 0: no cluster. */
  size: number;
  /** Other servers that take part in it, and do so now. */
  metaCurrent: number;
  /** Servers that answered. */
  servers: string[];
  groups: Group[];
}

interface Replica {
  name: string;
  current?: boolean;
  offline?: boolean;
}
interface Placed {
  leader?: string;
  replicas?: Replica[];
}
interface StreamDetail {
  name: string;
  cluster?: Placed;
  consumer_detail?: { name: string; cluster?: Placed }[];
}
interface Answer {
  server?: { name?: string };
  data?: {
    status?: string;
    error?: string;
    meta_cluster?: Placed & { cluster_size?: number };
    account_details?: { id?: string; stream_detail?: StreamDetail[] }[];
  };
}

/** Silence after which no further server is expected to answer, ms. */
const STALL_MS = 300;

/**
 * Asks every server that answers within `timeoutMs`. What a server says of a group that it leads
 * counts more than what the others have heard.
 * @param expected stop at so many answers
 */
export async function standing(
  system: NatsConnection,
  expected: number,
  timeoutMs: number,
): Promise<Standing> {
  const found: Standing = { meta: undefined, size: 0, metaCurrent: 0, servers: [], groups: [] };
  const groups = new Map<string, Group>();
  const options = { accounts: true, streams: true, consumer: true };
  for (const { server, data } of await askAll(system, "JSZ", options, expected, timeoutMs)) {
    const name = server?.name ?? "";
    found.servers.push(name);
    const meta = data?.meta_cluster;
    found.size = Math.max(found.size, meta?.cluster_size ?? 0);
    if (meta?.leader === name) {
      found.meta = name;
      found.metaCurrent = (meta.replicas ?? []).filter((r) => r.current === true).length;
    }
    for (const stream of (data?.account_details ?? []).flatMap((a) => a.stream_detail ?? [])) {
      keep(groups, name, { stream: stream.name, ...placed(stream.cluster) });
      for (const consumer of stream.consumer_detail ?? []) {
        const { cluster } = consumer;
        keep(groups, name, { stream: stream.name, consumer: consumer.name, ...placed(cluster) });
      }
    }
  }
  found.groups = [...groups.values()];
  return found;
}

function keep(groups: Map<string, Group>, from: string, group: Group): void {
  const key = `${group.stream} ${group.consumer ?? ""}`;
  const known = groups.get(key);
  if (known === undefined || group.leader === from) groups.set(key, group);
}

function placed(cluster: Placed | undefined): Pick<Group, "leader" | "others"> {
  return {
    leader: cluster?.leader || undefined,
    others: (cluster?.replicas ?? []).map((r) => ({
      name: r.name,
      current: r.current === true,
      offline: r.offline === true,
    })),
  };
}

/**
 * What each server lacks by its own word: one that has just come back holds old copies while the
 * leaders still count it among the current ones. Empty: nothing.
 */
export async function ailments(
  system: NatsConnection,
  expected: number,
  timeoutMs: number,
): Promise<string[]> {
  const answers = await askAll(system, "HEALTHZ", {}, expected, timeoutMs);
  const silent = expected - answers.length;
  return [
    ...(silent > 0 ? [`${silent} of ${expected} servers say nothing of their health`] : []),
    ...answers.flatMap(({ data }) => (data?.status === "ok" ? [] : [data?.error ?? "not well"])),
  ];
}

async function askAll(
  system: NatsConnection,
  what: "JSZ" | "HEALTHZ",
  options: object,
  expected: number,
  timeoutMs: number,
): Promise<Answer[]> {
  const body = JSON.stringify(options);
  const answers: Answer[] = [];
  const inbox = `_INBOX.parley-standing.${crypto.randomUUID()}`;
  const { promise, resolve } = Promise.withResolvers<void>();
  let timer = setTimeout(resolve, timeoutMs);
  const sub = system.subscribe(inbox, {
    callback: (error, m) => {
      if (error !== null || m.data.length === 0) return;
      answers.push(m.json<Answer>());
      clearTimeout(timer);
      timer = setTimeout(resolve, STALL_MS);
      if (answers.length >= expected) resolve();
    },
  });
  try {
    system.publish(`$SYS.REQ.SERVER.PING.${what}`, body, { reply: inbox });
    await promise;
    return answers;
  } finally {
    clearTimeout(timer);
    if (!sub.isClosed()) sub.unsubscribe();
  }
}
