// The server's side of the configuration, for the file at the repository's root and for the
// servers that Parley starts itself. One template, so that both agree.
import { dirname, relative, sep } from "node:path";
import { ParleyError } from "../../../contracts/failure.ts";

/** `dev`: the server syncs to disk every two minutes. `durable`: before it acknowledges. */
export type SyncProfile = "dev" | "durable";

export interface ClusterConfig {
  name: string;
  /** Port for the other servers. */
  port: number;
  /** `nats://host:port` of each of them, its own among them or not. */
  routes: string[];
  /** What the servers show each other; without it whoever reaches the port is taken for one. */
  credentials?: { user: string; password: string };
}

export interface ServerConfig {
  /** The identity file to include, relative to the configuration file (see `includePath`). */
  include: string;
  /**
   * How the accounts in the identity file are held. `full`: in a folder, so that a revocation can
   * be pushed into a running server. `memory`: changes need a reload. `none`: static NKey users.
   */
  resolver: "full" | "memory" | "none";
  /** Where the full resolver keeps the accounts. Each server of a cluster needs its own. */
  accountsDir?: string;
  /** JetStream's folder; absent when the server gets it as an argument (it refuses both). */
  storeDir?: string;
  host?: string;
  /** -1 takes a free one. Default 4222. */
  port?: number;
  /** Monitoring (`/healthz`, `/jsz`), on the same host; off when absent. */
  monitorPort?: number;
  /** Shown in the server's INFO; required in a cluster. */
  serverName?: string;
  sync?: SyncProfile;
  cluster?: ClusterConfig;
}

/** What `nats-server.conf` at the root is made from. */
export const ROOT_CONFIG: ServerConfig = {
  include: "./.parley/nats-auth.conf",
  resolver: "full",
  accountsDir: "./.parley/accounts",
  storeDir: "./.parley/store",
  monitorPort: 8222,
};

/**
 * The path to write after `include`: the server joins it to the folder of the including file even
 * when it is absolute, so it must be relative.
 */
export function includePath(configFile: string, identityFile: string): string {
  const path = relative(dirname(configFile), identityFile).split(sep).join("/");
  return path.startsWith(".") ? path : `./${path}`;
}

/** A string of the configuration language. */
export function quote(text: string): string {
  return JSON.stringify(text);
}

function resolverLines(config: ServerConfig): string[] {
  if (config.resolver === "none") return [];
  if (config.resolver === "memory") {
    return [
      "# Accounts are read from the identity file; a change to them needs a reload.",
      "resolver: MEMORY",
      "",
    ];
  }
  if (config.accountsDir === undefined) {
    throw new ParleyError("E_SCHEMA", "a full resolver needs accountsDir");
  }
  return [
    "# Accounts come from the identity file and are kept here, so that a revocation can be pushed",
    "# into the running server and survives a restart.",
    "resolver {",
    "  type: full",
    `  dir: ${quote(config.accountsDir)}`,
    "  allow_delete: false",
    '  interval: "2m"',
    "}",
    "",
  ];
}

function jetstreamLines(config: ServerConfig): string[] {
  const durable = config.sync === "durable";
  return [
    "jetstream {",
    ...(config.storeDir === undefined ? [] : [`  store_dir: ${quote(config.storeDir)}`]),
    ...(durable
      ? ["  # Every acknowledged write is on the disk.", "  sync_interval: always"]
      : [
          "  # An acknowledged write reaches the disk within two minutes: it survives the process,",
          "  # not a power cut. Trustworthy deployments say: sync_interval: always",
        ]),
    "  # The server's own default of 1000 consumers a stream is fewer than one mesh may need.",
    "  limits { default_max_consumers: 20000 }",
    "}",
    "",
  ];
}

function clusterLines(cluster: ClusterConfig | undefined, host: string): string[] {
  if (cluster === undefined) return [];
  return [
    "cluster {",
    `  name: ${quote(cluster.name)}`,
    `  listen: ${quote(`${host}:${cluster.port}`)}`,
    ...(cluster.credentials === undefined ? [] : [authorizationLine(cluster.credentials)]),
    `  routes: [${cluster.routes.map((url) => quote(route(url, cluster))).join(", ")}]`,
    "}",
    "",
  ];
}

function authorizationLine({ user, password }: { user: string; password: string }): string {
  return `  authorization { user: ${quote(user)}, password: ${quote(password)}, timeout: 10 }`;
}

/** The address of another server with the credentials inside, as nats-server wants it. */
function route(url: string, { credentials }: ClusterConfig): string {
  if (credentials === undefined) return url;
  const { user, password } = credentials;
  const inside = `${encodeURIComponent(user)}:${encodeURIComponent(password)}@`;
  return url.replace("://", `://${inside}`);
}

/** The whole file. Paths are relative to the server's working folder, except `include`. */
export function serverConfig(config: ServerConfig): string {
  const host = config.host ?? "127.0.0.1";
  return [
    "# nats-server for a Parley mesh. Start it where this file is, after `parley init`:",
    "#   nats-server -c nats-server.conf",
    "#   parley up --server nats://127.0.0.1:4222      (its streams, doors and janitor)",
    "# `parley up` starts a server with the same settings and its own port and store.",
    "# Written by serverConfig() in mesh/nats/identity/server-config.ts.",
    "",
    ...(config.serverName === undefined ? [] : [`server_name: ${quote(config.serverName)}`]),
    "# Loopback only. Before opening it to others, add a tls block.",
    `listen: ${quote(`${host}:${config.port ?? 4222}`)}`,
    ...(config.monitorPort === undefined
      ? []
      : [
          "# Monitoring: /healthz, /jsz, /connz.",
          `http: ${quote(`${host}:${config.monitorPort}`)}`,
        ]),
    "",
    "# Operator, accounts and roles: made by `parley init`, no secrets inside.",
    `include ${quote(config.include)}`,
    "",
    ...resolverLines(config),
    ...jetstreamLines(config),
    ...clusterLines(config.cluster, host),
    "# A frozen peer is noticed within 30 s, not within the default 6 minutes.",
    'ping_interval: "10s"',
    "ping_max: 2",
    "# After a restart a thousand clients sign in at once; two seconds, the default, is too short.",
    "authorization { timeout: 10 }",
    "# Larger things travel by reference, through the object store.",
    "max_payload: 1MB",
    "# A client's JWT comes in one protocol line and grows with its capabilities; default 4 KB.",
    "max_control_line: 64KB",
    "",
  ].join("\n");
}
