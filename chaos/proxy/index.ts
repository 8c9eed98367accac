// A NATS-frame-aware proxy that makes links fail.
export { type FrameProxy, type ProxyOptions, startProxy } from "./proxy.ts";
export type { Counts, Direction, LaneCounts, LineRule, MessageRule, Rules } from "./rules.ts";
