// The simple alternative to operator and JWTs: NKey users written out in the server's
// configuration, and a keyring by which peers resolve each other's keys. Adding or removing
// somebody means writing both files again and reloading the server.
import { z } from "zod";
import { ParleyError } from "../../../contracts/failure.ts";
import { expandPermissions, type Permissions, ROLES, type Role } from "../../../contracts/roles.ts";
import { SYSTEM_EVENTS } from "./account.ts";
import { readIfThere, writeSecret } from "./files.ts";
import { checkNames, type Described } from "./jwt.ts";
import { generateKey, type KeyPair } from "./keys.ts";
import { isPublicKey } from "./nkey.ts";
import { quote } from "./server-config.ts";

const EntrySchema = z.object({
  publicKey: z.string().refine((key) => isPublicKey(key, "user"), "a user's public NKey (U…)"),
  role: z.enum(ROLES),
  capabilities: z.array(z.string()),
  /** Absolute, ms. */
  addedAt: z.number(),
});

/** Name to key, role and capabilities: `keyring.json`. No secrets. */
export type Keyring = Record<string, z.infer<typeof EntrySchema>>;

const KeyringSchema = z.record(z.string(), EntrySchema);

/** An empty keyring when there is no file. @throws ParleyError E_IDENTITY when it is no keyring. */
export async function readKeyring(path: string): Promise<Keyring> {
  const text = await readIfThere(path);
  if (text === undefined) return {};
  try {
    const keyring = KeyringSchema.parse(JSON.parse(text));
    for (const [name, entry] of Object.entries(keyring)) checkNames(name, entry.capabilities);
    return keyring;
  } catch (cause) {
    throw new ParleyError("E_IDENTITY", `${path} is no keyring: ${(cause as Error).message}`, {
      cause,
    });
  }
}

export async function writeKeyring(path: string, keyring: Keyring): Promise<void> {
  await writeSecret(path, `${JSON.stringify(keyring, null, 2)}\n`);
}

export interface StaticUser {
  name: string;
  role: Role;
  capabilities?: readonly string[];
  /** The holder's own public key; without it one is made. */
  publicKey?: string;
}

/**
 * Adds somebody; gives the new keyring, and the key when it was made here: hand its seed to the
 * holder and keep no copy.
 * @throws ParleyError E_SCHEMA for a bad name, capability or key, E_IDENTITY for a name in use.
 */
export function addStaticUser(
  keyring: Keyring,
  user: StaticUser,
): { keyring: Keyring; key?: KeyPair } {
  const capabilities = [...new Set(user.capabilities ?? [])];
  checkNames(user.name, capabilities);
  if (Object.hasOwn(keyring, user.name)) {
    throw new ParleyError(
      "E_IDENTITY",
      `"${user.name}" is in the keyring already: remove that ` +
        "entry first, or take another name",
    );
  }
  if (!ROLES.includes(user.role)) {
    throw new ParleyError("E_SCHEMA", `role "${user.role}" must be one of ${ROLES.join(", ")}`);
  }
  const key = user.publicKey === undefined ? generateKey("user") : undefined;
  const publicKey = user.publicKey ?? (key as KeyPair).publicKey;
  if (!isPublicKey(publicKey, "user")) {
    throw new ParleyError("E_SCHEMA", `"${publicKey}" is no public user NKey (56 characters, U…)`);
  }
  if (describeKey(keyring, publicKey).ok) {
    throw new ParleyError(
      "E_IDENTITY",
      `${publicKey} is in the keyring already: one key, one name`,
    );
  }
  const entry = { publicKey, role: user.role, capabilities, addedAt: Date.now() };
  return { keyring: { ...keyring, [user.name]: entry }, ...(key ? { key } : {}) };
}

/** As describeUser, for a bare public key: who it is according to the keyring. */
export function describeKey(keyring: Keyring, publicKey: string): Described {
  for (const [name, entry] of Object.entries(keyring)) {
    if (entry.publicKey !== publicKey) continue;
    const { role, capabilities, addedAt } = entry;
    return { ok: true, identity: { name, publicKey, role, capabilities, issuedAt: addedAt } };
  }
  return { ok: false, reason: "unknown" };
}

function list(indent: string, subjects: readonly string[]): string {
  return `[\n${subjects.map((s) => `${indent}  ${quote(s)}\n`).join("")}${indent}]`;
}

function permissionLines(p: Permissions): string[] {
  return [
    "      permissions {",
    "        publish {",
    `          allow: ${list("          ", p.publish)}`,
    ...(p.denyPublish ? [`          deny: ${list("          ", p.denyPublish)}`] : []),
    "        }",
    `        subscribe { allow: ${list("        ", p.subscribe)} }`,
    "      }",
  ];
}

/** The identity file for the server, in place of nats-auth.conf: `resolver: "none"`. */
export function staticUsersConfig(keyring: Keyring): string {
  const users = Object.entries(keyring).flatMap(([name, entry]) => [
    `    { # ${name}: ${entry.role}`,
    `      nkey: ${entry.publicKey}`,
    ...permissionLines(expandPermissions(entry.role, name, entry.capabilities)),
    "    }",
  ]);
  const imports = Object.entries(SYSTEM_EVENTS).map(
    ([event, subject]) =>
      `    { stream: { account: SYS, subject: ${quote(`$SYS.ACCOUNT.MESH.${event}`)} }, ` +
      `to: ${quote(subject)} }`,
  );
  return [
    "# Users of the mesh by NKey; written from the keyring. After a change: nats-server --signal " +
      "reload",
    "system_account: SYS",
    "accounts {",
    "  SYS {",
    '    exports: [ { stream: "$SYS.ACCOUNT.MESH.>", accounts: [MESH] } ]',
    "  }",
    "  MESH {",
    "    jetstream: enabled",
    "    imports: [",
    ...imports.map((line) => `  ${line}`),
    "    ]",
    "    users: [",
    ...users,
    "    ]",
    "  }",
    "}",
    "",
  ].join("\n");
}
