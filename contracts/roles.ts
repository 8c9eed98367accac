// Roles and what the server lets each of them do. Templates: `{{name()}}` is the principal's name
// in its user JWT, `{{tag(cap)}}` one entry per capability that the JWT grants.
// The inbox prefix is the principal's own (`_INBOX.<name>`), so nobody reads another's replies.
//
// No template has `allow_responses`: whoever is delivered a message may then publish on the reply
// subject that it names, whatever that is, and anybody can send himself one (ADR 0015).
import {
  AGENTS_BUCKET,
  AGENTS_STREAM,
  ARTEFACTS_BUCKET,
  AUDIT_STREAM,
  BOARD_BUCKET,
  EVENTS_STREAM,
  JANITOR_CONSUMER,
  KEYS_STREAM,
  patterns,
  type RecordKind,
  supervisionConsumer,
  TASKS_BUCKET,
  TASKS_STREAM,
  TRIGGERS_BUCKET,
  URGENCY,
  WORKFLOWS_BUCKET,
} from "./subjects.ts";

export const ROLES = [
  "contractor",
  "initiator",
  "submitter",
  "observer",
  "admin",
  "agent",
] as const;
export type Role = (typeof ROLES)[number];

export interface Permissions {
  publish: string[];
  /** Wins over `publish`. */
  denyPublish?: string[];
  subscribe: string[];
}

const ME = "{{name()}}";
const CAP = "{{tag(cap)}}";

/** Which kinds of record a role may author. */
export const AUTHORS: Readonly<Record<RecordKind, readonly Role[]>> = {
  spec: ["submitter", "contractor", "agent", "admin"],
  contract: ["contractor", "agent"],
  checkpoint: ["contractor", "agent"],
  question: ["contractor", "agent"],
  answer: ["submitter", "contractor", "agent", "admin"],
  failure: ["contractor", "agent"],
  result: ["contractor", "agent"],
  cancel: ["submitter", "contractor", "agent", "admin"],
  outcome: ["contractor", "initiator", "agent"],
};

function author(kind: RecordKind, owner: string): string {
  return `$KV.${TASKS_BUCKET}.${owner}.*.${kind}.*.*.*.${ME}.*`;
}

const everyone: Permissions = {
  publish: ["mesh.who.*.*", "mesh.live.*.*"],
  subscribe: [`_INBOX.${ME}.>`, `mesh.msg.${ME}.>`],
};

/** Who takes part has a card, and answers. An inbox is known to whom its owner asks, to nobody
 * else: its name cannot be guessed. */
const member: Permissions = {
  publish: [...everyone.publish, `mesh.reg.${ME}.*`, `mesh.key.${ME}.*`, "_INBOX.*.>"],
  subscribe: [...everyone.subscribe, `mesh.who.${ME}.*`],
};

/**
 * Artefacts are written once under a random id and read one by one. The id keeps no secret: a
 * client may put `*` in its place and gets the newest artefact.
 */
const artefacts = [
  `$O.${ARTEFACTS_BUCKET}.C.*`,
  `$O.${ARTEFACTS_BUCKET}.M.*`,
  `$JS.API.DIRECT.GET.OBJ_${ARTEFACTS_BUCKET}.$O.${ARTEFACTS_BUCKET}.C.*`,
];

/** After an unknown outcome an author looks whether its own record is there. */
const ownRecord = `$JS.API.DIRECT.GET.${TASKS_STREAM}.$KV.${TASKS_BUCKET}.*.*.*.*.*.*.${ME}.*`;

/** Definitions and triggers are their author's, and everybody's to read; the board is everybody's,
 * and so are events. */
const shared = {
  publish: [
    `$KV.${WORKFLOWS_BUCKET}.${ME}.*.*`,
    `$JS.API.DIRECT.GET.KV_${WORKFLOWS_BUCKET}`,
    `$JS.API.DIRECT.GET.KV_${WORKFLOWS_BUCKET}.>`,
    `$KV.${BOARD_BUCKET}.>`,
    `$JS.API.DIRECT.GET.KV_${BOARD_BUCKET}`,
    `$JS.API.DIRECT.GET.KV_${BOARD_BUCKET}.>`,
    `$KV.${TRIGGERS_BUCKET}.${ME}.*.*`,
    `$JS.API.DIRECT.GET.KV_${TRIGGERS_BUCKET}`,
    `$JS.API.DIRECT.GET.KV_${TRIGGERS_BUCKET}.>`,
    "mesh.event.>",
    `$JS.API.DIRECT.GET.${EVENTS_STREAM}`,
    `$JS.API.DIRECT.GET.${EVENTS_STREAM}.>`,
  ],
  subscribe: ["mesh.board.>", `mesh.trigger.${ME}.>`, "mesh.happened.>"],
} as const;

const contractor: Permissions = {
  publish: [
    ...shared.publish,
    ownRecord,
    ...(
      [
        "contract",
        "checkpoint",
        "question",
        "failure",
        "result",
        "outcome",
        "spec",
        "cancel",
        "answer",
      ] as const
    ).map((kind) => author(kind, "*")),
    // A bid names its author last; on the bare reply subject only the server says "nobody here".
    `mesh.bid.*.*.*.${ME}.*`,
    `mesh.beat.*.*.${ME}.*`,
    `mesh.msg.*.*.${ME}.*`,
    `mesh.idle.${CAP}.${ME}.*`,
    `mesh.look.${ME}.*`,
    ...artefacts,
  ],
  subscribe: [
    ...shared.subscribe,
    `mesh.cfp.${CAP}.>`,
    `mesh.award.${ME}.>`,
    `mesh.offer.${ME}.>`,
    `mesh.live.${ME}.*`,
    `mesh.rec.*.${ME}.>`,
    `mesh.rec.${ME}.>`,
    "$SRV.PING",
    "$SRV.INFO",
    "$SRV.STATS",
    "$SRV.PING.>",
    "$SRV.INFO.>",
    "$SRV.STATS.>",
  ],
};

const initiator: Permissions = {
  publish: [
    author("outcome", "*"),
    `mesh.breaker.*.${ME}.*`,
    `mesh.cfp.*.*.${ME}.*`,
    `mesh.award.*.*.${ME}.*`,
    `mesh.offer.*.*.${ME}.*`,
    `mesh.msg.*.*.${ME}.*`,
    ...URGENCY.flatMap((u) => {
      const c = `${TASKS_STREAM}.${supervisionConsumer(u)}`;
      return [
        `$JS.API.CONSUMER.INFO.${c}`,
        `$JS.API.CONSUMER.MSG.NEXT.${c}`,
        `$JS.ACK.${c}.>`,
        `$JS.ACK.*.*.${c}.>`,
      ];
    }),
    // Adoption reads all records of one task, and asks the leader for the newest before a contract
    // is taken back; cards tell who could bid.
    `$JS.API.DIRECT.GET.${TASKS_STREAM}`,
    `$JS.API.STREAM.MSG.GET.${TASKS_STREAM}`,
    `$JS.API.DIRECT.GET.${AGENTS_STREAM}`,
    `$JS.API.DIRECT.GET.${KEYS_STREAM}.>`,
  ],
  subscribe: [
    `mesh.bid.${ME}.>`,
    `mesh.beat.${ME}.>`,
    "mesh.idle.*.*.*",
    "mesh.card.>",
    `mesh.rec.*.${ME}.>`,
    `mesh.rec.${ME}.>`,
    "mesh.look.*.*",
    patterns.field,
    patterns.cancelsToAnybody,
    "mesh.submit.*",
    "mesh.call.*",
    patterns.disconnects,
  ],
};

const submitter: Permissions = {
  publish: [
    ...shared.publish,
    ownRecord,
    author("spec", ME),
    author("cancel", ME),
    author("answer", ME),
    "mesh.submit.*",
    "mesh.call.*",
    `mesh.look.${ME}.*`,
    patterns.field,
    `mesh.breaker.*.${ME}.*`,
    // A live call is a call for proposals of the caller's own.
    `mesh.cfp.*.*.${ME}.*`,
    `mesh.award.*.*.${ME}.*`,
    `mesh.msg.*.*.${ME}.*`,
    `mesh.offer.*.*.${ME}.*`,
    // Whoever wrote a record of its tasks may be gone by now; cards kept for proof are public.
    `$JS.API.DIRECT.GET.${KEYS_STREAM}.>`,
    ...artefacts,
  ],
  subscribe: [
    ...shared.subscribe,
    `mesh.rec.*.${ME}.>`,
    `mesh.rec.${ME}.>`,
    `mesh.bid.${ME}.>`,
    `mesh.beat.${ME}.>`,
    "mesh.idle.*.*.*",
  ],
};

// An observer makes consumers of its own for reading. The durable ones are the mesh's: with
// CREATE it could re-point one, with DELETE end it, with MSG.NEXT take specs out of it. The bare
// subject CONSUMER.CREATE.<stream> names its consumer in the body, so it is not granted at all;
// nats.js uses it when `filter_subjects` is an array, so observers filter by one string.
const durables = [...URGENCY.map(supervisionConsumer), JANITOR_CONSUMER].map(
  (name) => `${TASKS_STREAM}.${name}`,
);

const observer: Permissions = {
  denyPublish: durables.flatMap((c) => [
    `$JS.API.CONSUMER.CREATE.${c}`,
    `$JS.API.CONSUMER.CREATE.${c}.>`,
    `$JS.API.CONSUMER.DELETE.${c}`,
    `$JS.API.CONSUMER.MSG.NEXT.${c}`,
  ]),
  publish: [
    "$SRV.PING",
    "$SRV.INFO",
    "$SRV.STATS",
    "$SRV.PING.>",
    "$SRV.INFO.>",
    "$SRV.STATS.>",
    "$JS.API.INFO",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.LIST",
    ...[
      TASKS_STREAM,
      AGENTS_STREAM,
      KEYS_STREAM,
      AUDIT_STREAM,
      `KV_${WORKFLOWS_BUCKET}`,
      `KV_${BOARD_BUCKET}`,
      `KV_${TRIGGERS_BUCKET}`,
      EVENTS_STREAM,
    ].flatMap((s) => [
      `$JS.API.STREAM.INFO.${s}`,
      `$JS.API.STREAM.MSG.GET.${s}`,
      `$JS.API.DIRECT.GET.${s}`,
      `$JS.API.DIRECT.GET.${s}.>`,
      `$JS.API.CONSUMER.CREATE.${s}.>`,
      `$JS.API.CONSUMER.INFO.${s}.*`,
      `$JS.API.CONSUMER.DELETE.${s}.*`,
      `$JS.API.CONSUMER.MSG.NEXT.${s}.*`,
      `$JS.FC.${s}.>`,
      `$JS.FC.*.*.${s}.>`,
    ]),
    `$JS.API.STREAM.INFO.OBJ_${ARTEFACTS_BUCKET}`,
    `$JS.API.DIRECT.GET.OBJ_${ARTEFACTS_BUCKET}.>`,
    "$SYS.REQ.USER.INFO",
  ],
  // Not the writes themselves: they name the inbox where their author waits for the server's word.
  subscribe: ["mesh.>", `$KV.${AGENTS_BUCKET}.>`],
};

const admin: Permissions = { publish: [">"], subscribe: [">"] };

function deniesOf(subjects: string[]): { denyPublish?: string[] } {
  return subjects.length > 0 ? { denyPublish: [...new Set(subjects)] } : {};
}

function union(...parts: Permissions[]): Permissions {
  return {
    publish: [...new Set(parts.flatMap((p) => p.publish))],
    ...deniesOf(parts.flatMap((p) => p.denyPublish ?? [])),
    subscribe: [...new Set(parts.flatMap((p) => p.subscribe))],
  };
}

/** The permission template of each role, as its scoped signing key carries it. */
export const ROLE_PERMISSIONS: Readonly<Record<Role, Permissions>> = {
  contractor: union(member, contractor),
  initiator: union(member, initiator),
  submitter: union(member, submitter),
  observer: union(everyone, observer),
  agent: union(member, contractor, initiator, submitter),
  admin,
};

/** Writes the templates out for one principal, as static NKey users need them. */
export function expandPermissions(role: Role, name: string, capabilities: string[]): Permissions {
  const p = ROLE_PERMISSIONS[role];
  const expand = (list: string[]) => [
    ...new Set(
      list.flatMap((s) => {
        const named = s.replaceAll(ME, name);
        return named.includes(CAP) ? capabilities.map((c) => named.replaceAll(CAP, c)) : [named];
      }),
    ),
  ];
  return {
    publish: expand(p.publish),
    ...deniesOf(expand(p.denyPublish ?? [])),
    subscribe: expand(p.subscribe),
  };
}
