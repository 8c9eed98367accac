export type * from "./bucket.ts";
export type * from "./clock.ts";
export type * from "./events.ts";
export type * from "./history.ts";
export type * from "./identity.ts";
export type * from "./ledger.ts";
export type * from "./log.ts";
export type * from "./transport.ts";
