// The claims that the server enforces: the operator, the system account, and the mesh account with
// one scoped signing key per role.
import type { Account, OperatorLimits, SigningKey } from "@nats-io/jwt";
import { type Permissions, ROLE_PERMISSIONS, ROLES, type Role } from "../../../contracts/roles.ts";
import { patterns } from "../../../contracts/subjects.ts";

/** What a verifier must know; public, and safe to hand out (trust.json). */
export interface Trust {
  version: 1;
  /** Name of the mesh. */
  name: string;
  /** Public keys. */
  operator: string;
  systemAccount: string;
  account: string;
  /** Role to the public key that signs its users. */
  roles: Record<Role, string>;
  /** Public user key to the unix second up to which its JWTs are void. */
  revocations: Record<string, number>;
}

/** `trustedIssuers` of describeUser. */
export function roleBySigningKey(trust: Trust): Map<string, Role> {
  return new Map(ROLES.map((role) => [trust.roles[role], role]));
}

const UNLIMITED: OperatorLimits = {
  subs: -1,
  data: -1,
  payload: -1,
  imports: -1,
  exports: -1,
  wildcards: true,
  conn: -1,
  leaf: -1,
};

const JETSTREAM: OperatorLimits = {
  mem_storage: -1,
  disk_storage: -1,
  streams: -1,
  consumer: -1,
  max_ack_pending: -1,
  mem_max_stream_bytes: -1,
  disk_max_stream_bytes: -1,
  max_bytes_required: false,
};

/**
 * A role's permissions as the scoped key carries them. Written out by hand: the library's
 * newScopedSigner adds `resp: {max: 0}`, which turns an empty publish list into "replies only".
 */
function scope(role: Role, key: string, p: Permissions): SigningKey {
  return {
    kind: "user_scope",
    key,
    role,
    template: {
      subs: -1,
      data: -1,
      payload: -1,
      pub: { allow: p.publish, ...(p.denyPublish ? { deny: p.denyPublish } : {}) },
      sub: { allow: p.subscribe },
    },
  };
}

/**
 * The server tells of connections and disconnections on `$SYS.ACCOUNT.<account>.…`; the mesh sees
 * its own as `mesh.sys.connect` and `mesh.sys.disconnect`.
 */
export const SYSTEM_EVENTS = {
  CONNECT: patterns.connects,
  DISCONNECT: patterns.disconnects,
} as const;

/** No JetStream limits here: with any, the server refuses to start. */
export function systemAccountClaims(): Partial<Account> {
  return {
    limits: UNLIMITED,
    exports: [
      {
        name: "account-events",
        subject: "$SYS.ACCOUNT.*.>",
        type: "stream",
        // An account may import only the events that carry its own key in the third token.
        account_token_position: 3,
      },
    ],
  };
}

export function meshAccountClaims(trust: Trust): Partial<Account> {
  return {
    limits: { ...UNLIMITED, ...JETSTREAM },
    signing_keys: ROLES.map((role) => scope(role, trust.roles[role], ROLE_PERMISSIONS[role])),
    imports: Object.entries(SYSTEM_EVENTS).map(([event, subject]) => ({
      name: subject,
      subject: `$SYS.ACCOUNT.${trust.account}.${event}`,
      type: "stream" as const,
      account: trust.systemAccount,
      local_subject: subject,
    })),
    ...(Object.keys(trust.revocations).length > 0 ? { revocations: trust.revocations } : {}),
  };
}
