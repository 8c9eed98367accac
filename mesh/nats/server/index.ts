// A nats-server on this machine: found or fetched, started as our own.

export { cacheFolder, natsCliPath, natsCliVersionPinned } from "./cache.ts";
export type { Env, Say } from "./child.ts";
export { CLUSTER_SIZE, Cluster, type ClusterOptions, startCluster } from "./cluster.ts";
export {
  type FindOptions,
  type FoundServer,
  findServer,
  ServerNotFoundError,
} from "./find-server.ts";
export type { Exit } from "./guard-link.ts";
export {
  type RunningServer,
  type ServerOptions,
  ServerStartError,
  startServer,
} from "./run-server.ts";
export { checkServerName, readServerInfo, type ServerInfo } from "./server-info.ts";
export { serverVersionFloor, serverVersionPinned } from "./version.ts";
