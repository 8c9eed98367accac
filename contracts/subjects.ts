// The one place where a subject or a bucket key is built or parsed.
//
// Grammar: verb, then whom it is for, then who sends; every token is [A-Za-z0-9_-]{1,64}
// (architecture section 1). Tokens are checked where they enter the program (ids.ts), so that
// building is plain concatenation on the hot path. Parsing refuses wildcards inside a token: the
// server lets clients publish to a subject that holds a literal `*` or `>`, and such a token must
// never come back as part of a filter (a purge, a read).

import { NOBODY } from "./ids.ts";
import { SAMPLE_RUNGS, type Sample } from "./limits.ts";

export const TASKS_BUCKET = "mesh_tasks";
export const AGENTS_BUCKET = "mesh_agents";
export const ARTEFACTS_BUCKET = "mesh_artifacts";
/** Definitions of workflows: `<principal>.<name>.<version>`, the version's dots as `_`. */
export const WORKFLOWS_BUCKET = "mesh_workflows";
/** What agents share on purpose: `<topic>.<key…>`. */
export const BOARD_BUCKET = "mesh_board";
/** What begins tasks by itself, by principal and name, and how far each is. */
export const TRIGGERS_BUCKET = "mesh_triggers";
export const TASKS_STREAM = `KV_${TASKS_BUCKET}`;
export const AGENTS_STREAM = `KV_${AGENTS_BUCKET}`;
export const REGISTRY_STREAM = "mesh_registry";
/** Cards kept for as long as records of their agents may have to be proven. */
export const KEYS_STREAM = "mesh_keys";
export const AUDIT_STREAM = "mesh_audit";
/** What was told on `mesh.event.<topic>`, for a day. */
export const EVENTS_STREAM = "mesh_events";

export const RECORD_KINDS = [
  "spec",
  "contract",
  "checkpoint",
  "question",
  "answer",
  "failure",
  "result",
  "cancel",
  "outcome",
] as const;
export type RecordKind = (typeof RECORD_KINDS)[number];

export type CallRung = Sample | "all";
export const RUNGS: readonly CallRung[] = [...SAMPLE_RUNGS, "all"];

/** The tokens of a literal subject; undefined when their number is wrong or one is a wildcard. */
function tokens(subject: string, count: number): string[] | undefined {
  if (subject.includes("*") || subject.includes(">")) return undefined;
  const t = subject.split(".");
  return t.length === count ? t : undefined;
}

/** A record's place: `<owner>.<task>.<kind>.<n>.<toP>.<toA>.<fromP>.<fromA>`. */
export interface RecordKey {
  owner: string;
  task: string;
  kind: RecordKind;
  /** The epoch, or `<epoch>-<i>` for kinds that repeat within one. */
  n: string;
  toPrincipal: string;
  toAgent: string;
  fromPrincipal: string;
  fromAgent: string;
}

const KEY_PREFIX = `$KV.${TASKS_BUCKET}.`;

/** A task's full name: ids are unique only under their owner. */
export function taskPath(owner: string, task: string): string {
  return `${owner}.${task}`;
}

export function recordKey(k: RecordKey): string {
  return (
    `${k.owner}.${k.task}.${k.kind}.${k.n}.${k.toPrincipal}.${k.toAgent}.` +
    `${k.fromPrincipal}.${k.fromAgent}`
  );
}

export function recordSubject(k: RecordKey): string {
  return KEY_PREFIX + recordKey(k);
}

/** The guard of every write: nobody wrote under this task since the revision that I know. */
export function taskGuard(owner: string, task: string): string {
  return `${KEY_PREFIX}${owner}.${task}.>`;
}

function isKind(text: string): text is RecordKind {
  return (RECORD_KINDS as readonly string[]).includes(text);
}

/** Parses `$KV.mesh_tasks.<key>`; undefined when it is none. */
export function parseRecordSubject(subject: string): RecordKey | undefined {
  return subject.startsWith(KEY_PREFIX)
    ? parseRecordKey(subject.slice(KEY_PREFIX.length))
    : undefined;
}

export function parseRecordKey(key: string): RecordKey | undefined {
  const t = tokens(key, 8);
  if (t === undefined || !isKind(t[2] as string)) return undefined;
  return {
    owner: t[0] as string,
    task: t[1] as string,
    kind: t[2] as RecordKind,
    n: t[3] as string,
    toPrincipal: t[4] as string,
    toAgent: t[5] as string,
    fromPrincipal: t[6] as string,
    fromAgent: t[7] as string,
  };
}

/** A record as the server announces it after storing (republish). */
export interface RecordNotice {
  owner: string;
  toPrincipal: string;
  toAgent: string;
  kind: RecordKind;
  fromPrincipal: string;
  fromAgent: string;
  task: string;
}

export function parseRecordNotice(subject: string): RecordNotice | undefined {
  const t = tokens(subject, 9);
  if (t?.[0] !== "mesh" || t[1] !== "rec" || !isKind(t[5] as string)) return undefined;
  return {
    owner: t[2] as string,
    toPrincipal: t[3] as string,
    toAgent: t[4] as string,
    kind: t[5] as RecordKind,
    fromPrincipal: t[6] as string,
    fromAgent: t[7] as string,
    task: t[8] as string,
  };
}

/** Does the notice agree with the key that the server stored (`Nats-Subject`)? */
export function noticeAgrees(n: RecordNotice, k: RecordKey): boolean {
  return (
    n.owner === k.owner &&
    n.task === k.task &&
    n.kind === k.kind &&
    n.toPrincipal === k.toPrincipal &&
    n.toAgent === k.toAgent &&
    n.fromPrincipal === k.fromPrincipal &&
    n.fromAgent === k.fromAgent
  );
}

/** Sender and addressee of a directed message, whatever its verb. */
export interface Directed {
  toPrincipal: string;
  toAgent: string;
  fromPrincipal: string;
  fromAgent: string;
}

export type DirectedVerb = "award" | "offer" | "beat" | "msg";

export function directedSubject(verb: DirectedVerb, to: string, from: string): string {
  return `mesh.${verb}.${to}.${from}`;
}

export function parseDirected(verb: DirectedVerb, subject: string): Directed | undefined {
  const t = tokens(subject, 6);
  if (t?.[0] !== "mesh" || t[1] !== verb) return undefined;
  return {
    toPrincipal: t[2] as string,
    toAgent: t[3] as string,
    fromPrincipal: t[4] as string,
    fromAgent: t[5] as string,
  };
}

export function cfpSubject(capability: string, rung: CallRung, from: string): string {
  return `mesh.cfp.${capability}.${rung}.${from}`;
}

export interface CfpSubject {
  capability: string;
  rung: string;
  fromPrincipal: string;
  fromAgent: string;
}

export function parseCfpSubject(subject: string): CfpSubject | undefined {
  const t = tokens(subject, 6);
  if (t?.[0] !== "mesh" || t[1] !== "cfp") return undefined;
  return {
    capability: t[2] as string,
    rung: t[3] as string,
    fromPrincipal: t[4] as string,
    fromAgent: t[5] as string,
  };
}

/** Reply subject of a call: where the server's no-responders answer arrives. */
export function bidReplySubject(initiator: string, cfp: string): string {
  return `mesh.bid.${initiator}.${cfp}`;
}

export function bidSubject(initiator: string, cfp: string, from: string): string {
  return `mesh.bid.${initiator}.${cfp}.${from}`;
}

export interface BidSubject {
  toPrincipal: string;
  toAgent: string;
  cfp: string;
  /** Absent on the bare reply subject (no responders). */
  from?: { principal: string; agent: string };
}

export function parseBidSubject(subject: string): BidSubject | undefined {
  const t = tokens(subject, 7) ?? tokens(subject, 5);
  if (t?.[0] !== "mesh" || t[1] !== "bid") return undefined;
  const out: BidSubject = {
    toPrincipal: t[2] as string,
    toAgent: t[3] as string,
    cfp: t[4] as string,
  };
  if (t.length === 7) out.from = { principal: t[5] as string, agent: t[6] as string };
  return out;
}

export function idleSubject(capability: string, from: string): string {
  return `mesh.idle.${capability}.${from}`;
}

export function parseIdleSubject(
  subject: string,
): { capability: string; principal: string; agent: string } | undefined {
  const t = tokens(subject, 5);
  if (t?.[0] !== "mesh" || t[1] !== "idle") return undefined;
  return { capability: t[2] as string, principal: t[3] as string, agent: t[4] as string };
}

export function registrationSubject(principal: string, agent: string): string {
  return `mesh.reg.${principal}.${agent}`;
}

/** The same card without an end, so that records of agents that are gone can be proven. */
export function keySubject(principal: string, agent: string): string {
  return `mesh.key.${principal}.${agent}`;
}

export function parseCardSubject(
  subject: string,
): { principal: string; agent: string } | undefined {
  const t = tokens(subject, 4);
  if (t?.[0] !== "mesh" || (t[1] !== "card" && t[1] !== "reg")) return undefined;
  return { principal: t[2] as string, agent: t[3] as string };
}

export function whoSubject(principal: string, agent: string): string {
  return `mesh.who.${principal}.${agent}`;
}

export function liveSubject(principal: string, agent: string): string {
  return `mesh.live.${principal}.${agent}`;
}

/** An initiator's breaker opened or closed. */
export function breakerSubject(capability: string, from: string): string {
  return `mesh.breaker.${capability}.${from}`;
}

/** Owner and task of a look. */
export function parseLookSubject(subject: string): { owner: string; task: string } | undefined {
  const t = tokens(subject, 4);
  if (t?.[0] !== "mesh" || t[1] !== "look") return undefined;
  return { owner: t[2] as string, task: t[3] as string };
}

/** "Show me the records of this task of mine": answered by any initiator. */
export function lookSubject(owner: string, task: string): string {
  return `mesh.look.${owner}.${task}`;
}

/** "Who could answer a call of this capability?": answered by any peer that follows the cards. */
export function fieldSubject(capability: string): string {
  return `mesh.field.${capability}`;
}

export function doorSubject(door: "submit" | "call", capability: string): string {
  return `mesh.${door}.${capability}`;
}

/** Last token of `mesh.<submit|call|field>.<capability>`. */
export function parseDoorSubject(subject: string): string | undefined {
  const t = tokens(subject, 3);
  return t?.[0] === "mesh" ? t[2] : undefined;
}

/** Subscription patterns; `principal` subscribes only to what is its own. */
export const patterns = {
  bids: (principal: string) => `mesh.bid.${principal}.>`,
  awards: (principal: string, agent: string) => `mesh.award.${principal}.${agent}.>`,
  offers: (principal: string) => `mesh.offer.${principal}.>`,
  beats: (principal: string) => `mesh.beat.${principal}.>`,
  messages: (principal: string) => `mesh.msg.${principal}.>`,
  recordsToMe: (principal: string) => `mesh.rec.*.${principal}.>`,
  recordsOfMine: (principal: string) => `mesh.rec.${principal}.>`,
  claimsOfMine: (principal: string) => `mesh.rec.${principal}.*.*.contract.>`,
  recordsAll: "mesh.rec.>",
  /** Cancels of tasks without a contract: who their initiator is, only he himself knows. */
  cancelsToAnybody: `mesh.rec.*.${NOBODY}.${NOBODY}.cancel.>`,
  who: (principal: string) => `mesh.who.${principal}.*`,
  look: "mesh.look.*.*",
  field: "mesh.field.*",
  cards: "mesh.card.>",
  cfp: (capability: string, rung: CallRung) => `mesh.cfp.${capability}.${rung}.*.*`,
  breakers: "mesh.breaker.>",
  idle: (capability: string) => `mesh.idle.${capability}.*.*`,
  door: (door: "submit" | "call") => `mesh.${door}.*`,
  specs: (urgency: number) => `${KEY_PREFIX}*.*.spec.0-${urgency}.>`,
  outcomes: `${KEY_PREFIX}*.*.outcome.>`,
  /** The server's notices about this account's connections, imported from the system account. */
  connects: "mesh.sys.connect",
  disconnects: "mesh.sys.disconnect",
} as const;

/** Streams' side of the grammar: republish and transforms. */
export const streamSubjects = {
  tasks: `${KEY_PREFIX}>`,
  recordRepublish: {
    src: `${KEY_PREFIX}*.*.*.*.*.*.*.*`,
    dest:
      "mesh.rec.{{wildcard(1)}}.{{wildcard(5)}}.{{wildcard(6)}}.{{wildcard(3)}}." +
      "{{wildcard(7)}}.{{wildcard(8)}}.{{wildcard(2)}}",
  },
  registrations: "mesh.reg.>",
  keys: "mesh.key.>",
  cardsIngest: { src: "mesh.reg.>", dest: `$KV.${AGENTS_BUCKET}.>` },
  cardRepublish: { src: `$KV.${AGENTS_BUCKET}.>`, dest: "mesh.card.>" },
  workflows: `$KV.${WORKFLOWS_BUCKET}.*.*.*`,
  board: `$KV.${BOARD_BUCKET}.>`,
  boardRepublish: { src: `$KV.${BOARD_BUCKET}.>`, dest: "mesh.board.>" },
  triggers: `$KV.${TRIGGERS_BUCKET}.*.*.*`,
  triggersRepublish: { src: `$KV.${TRIGGERS_BUCKET}.>`, dest: "mesh.trigger.>" },
  events: "mesh.event.>",
  eventsRepublish: { src: "mesh.event.>", dest: "mesh.happened.>" },
  /** Few subjects, so that a long history costs the server little memory. */
  audit: {
    src: `${KEY_PREFIX}*.*.*.*.*.*.*.*`,
    dest: "mesh.audit.{{partition(16,1,2)}}.{{wildcard(3)}}",
  },
} as const;

/** Urgency classes, most urgent first; each has a supervision consumer of its own. */
export const URGENCY = [0, 1, 2] as const;

export function supervisionConsumer(urgency: number): string {
  return `initiators-${urgency}`;
}
export const JANITOR_CONSUMER = "janitor";

/** `n` of a spec: epoch 0 and the urgency class, each class with a consumer of its own. */
export function specN(urgency: number): string {
  return `0-${urgency}`;
}
