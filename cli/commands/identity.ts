// `parley init` and `parley identity …`: the mesh's keys, and who was given credentials.
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Command, Option } from "commander";
import { expandPermissions, ROLES, type Role } from "../../contracts/roles.ts";
import {
  addIdentity,
  type Home,
  homeFiles,
  type IssuedIdentity,
  initHome,
  listIdentities,
  openHome,
  pushAccount,
  readIdentity,
  renewIdentity,
  revokeIdentity,
  revokeKeys,
  writeServerAuth,
} from "../../mesh/nats/identity/home.ts";
import { includePath, ROOT_CONFIG, serverConfig } from "../../mesh/nats/identity/server-config.ts";
import { CliError, usage } from "../lib/errors.ts";
import { withExamples } from "../lib/examples.ts";
import { timeText } from "../lib/output.ts";
import { duration, list, token } from "../lib/parse.ts";
import { type Session, session, withInspector } from "../lib/session.ts";
import { homeOf } from "../lib/target.ts";
import { readUp } from "../lib/up-file.ts";

interface AddOptions {
  role: Role;
  cap?: string[];
  expires?: number;
}

type RenewOptions = Pick<AddOptions, "cap" | "expires">;

export function registerIdentity(parley: Command): void {
  withExamples(
    parley
      .command("init")
      .description("make a mesh's identity: operator, account, one signing key per role")
      .option("--mesh <name>", "name of the mesh", token("mesh name"), "mesh")
      .option(
        "--server-config <file>",
        "also a configuration for a nats-server of yours, which uses this identity; " +
          "with an identity that is there, only this",
      )
      .action((_options: object, command: Command) => init(command)),
    "parley init",
    "parley init --home ./deploy/.parley --mesh production",
    "parley init --server-config nats-server.conf && nats-server -c nats-server.conf",
  );
  const identity = withExamples(
    parley.command("identity").description("credentials: who may do what"),
    "parley identity add alice --role agent --cap summarize,translate --expires 30d",
    "parley identity ls",
    "parley identity revoke alice",
  );
  withExamples(
    identity
      .command("add <name>")
      .description("give somebody credentials: an ordinary .creds file")
      .addOption(new Option("--role <role>", "what it may do").choices(ROLES).makeOptionMandatory())
      .option("--cap <names>", "capabilities that it may offer, with commas", list)
      .option("--expires <length>", "how long they last, such as 30d", duration)
      .action((name: string, _options: AddOptions, command: Command) => add(command, name)),
    "parley identity add alice --role agent --cap summarize,translate",
    "parley identity add dashboard --role observer --expires 30d",
  );
  withExamples(
    identity
      .command("renew <name>")
      .description("new credentials for the same name, key and role: for longer, or to offer more")
      .option("--cap <names>", "capabilities beside those that it may offer, with commas", list)
      .option("--expires <length>", "how long they last; default: as long as before", duration)
      .action((name: string, _options: RenewOptions, command: Command) => renew(command, name)),
    "parley identity renew alice",
    "parley identity renew alice --cap translate --expires 90d",
  );
  registerIssued(identity);
}

/** What was given: who has it, and taking it back. */
function registerIssued(identity: Command): void {
  withExamples(
    identity
      .command("ls")
      .description("everybody who was given credentials")
      .action((_options: object, command: Command) => ls(command)),
    "parley identity ls",
  );
  withExamples(
    identity
      .command("show <name>")
      .description("one identity and what it may do")
      .action((name: string, _options: object, command: Command) => show(command, name)),
    "parley identity show alice",
  );
  withExamples(
    identity
      .command("revoke <name>")
      .description("take credentials back; a running server cuts its connections at once")
      .option("--dry-run", "say what would be done, and do nothing")
      .action((name: string, _options: object, command: Command) => revoke(command, name)),
    "parley identity revoke alice",
  );
  withExamples(
    identity
      .command("push")
      .description("bring a server up to date: this version's roles, and every revocation")
      .action((_options: object, command: Command) => push(command)),
    "parley identity push --server nats://127.0.0.1:4222",
  );
}

async function push(command: Command): Promise<void> {
  const s = session(command);
  const home = await openHome(homeOf(s.options));
  await writeServerAuth(home);
  const server = await serverOf(s, home.dir);
  if (server === undefined) {
    if (s.out.json) return s.out.document({ delivery: "none" });
    return s.out.note(
      `wrote ${homeFiles(home.dir).serverAuth}; no server is known to run here: one that starts ` +
        "takes it up, or say: parley identity push --server URL",
    );
  }
  const delivery = await pushAccount(home, server);
  if (s.out.json) return s.out.document({ server, delivery });
  s.out.text(`${delivery} to ${server}`);
}

async function init(command: Command): Promise<void> {
  const s = session<{ mesh: string; serverConfig?: string }>(command);
  const { mesh, serverConfig: file } = s.options;
  const dir = homeOf(s.options);
  const there = file !== undefined && existsSync(homeFiles(dir).operatorSeed);
  const home = there ? await openHome(dir) : await initHome(dir, { name: mesh });
  if (file !== undefined) await writeOwnServer(home, file);
  if (s.out.json) return s.out.document({ home: home.dir, trust: home.trust, serverConfig: file });
  s.out.text(home.dir);
  if (!there) {
    s.out.note(`made a mesh's identity. Its keys are in ${homeFiles(home.dir).keys}: keep a copy.`);
  }
  s.out.note(
    file === undefined
      ? "next: parley up, or: parley identity add NAME --role agent --cap CAPABILITY"
      : `next: nats-server -c ${file}, then: parley up --server nats://127.0.0.1:4222`,
  );
}

/** A file that is there may hold what somebody wrote: it stays. */
async function writeOwnServer(home: Home, path: string): Promise<void> {
  const files = homeFiles(home.dir);
  const text = serverConfig({
    ...ROOT_CONFIG,
    include: includePath(resolve(path), files.serverAuth),
    accountsDir: files.accounts,
    storeDir: join(home.dir, "store"),
  });
  await writeFile(path, text, { flag: "wx" }).catch((cause: NodeJS.ErrnoException) => {
    throw cause.code === "EEXIST"
      ? usage(`${path} is there already`, "name another file, or move that one away")
      : cause;
  });
}

async function add(command: Command, name: string): Promise<void> {
  const s = session<AddOptions>(command);
  const { role, cap = [], expires } = s.options;
  const home = await openHome(homeOf(s.options));
  const { credsPath, identity } = await addIdentity(home, {
    name,
    role,
    capabilities: cap,
    ...(expires === undefined ? {} : { expiresInMs: expires }),
  });
  if (s.out.json) return s.out.document({ ...shown(identity), creds: credsPath });
  s.out.text(credsPath);
  const offers = role === "contractor" || role === "agent";
  if (offers && cap.length === 0) s.out.note("without --cap it may offer nothing");
  s.out.note(
    `use it: NATS_CREDS=${credsPath} parley …, or ` +
      `nats --creds ${credsPath} --inbox-prefix _INBOX.${name} …`,
  );
  s.out.note(`elsewhere it needs ${homeFiles(home.dir).trust} beside it`);
}

async function renew(command: Command, name: string): Promise<void> {
  const s = session<RenewOptions>(command);
  const { cap, expires } = s.options;
  const home = await openHome(homeOf(s.options));
  if ((await readIdentity(home, token("name")(name))) === undefined) throw unknown(name);
  const { credsPath, identity } = await renewIdentity(home, name, {
    ...(cap === undefined ? {} : { capabilities: cap }),
    ...(expires === undefined ? {} : { expiresInMs: expires }),
  });
  if (s.out.json) return s.out.document({ ...shown(identity), creds: credsPath });
  s.out.text(credsPath);
  s.out.note(`valid until: ${timeText(identity.expiresAt) ?? "revoked"}`);
  s.out.note("put the file where the agent runs: it is taken up with the next connection");
}

async function ls(command: Command): Promise<void> {
  const s = session(command);
  const home = await openHome(homeOf(s.options));
  const found = await listIdentities(home);
  if (s.out.json) return s.out.document(found.map(shown));
  if (found.length === 0) {
    return s.out.note("nobody has credentials yet; next: parley identity add NAME --role ROLE");
  }
  s.out.table(
    ["NAME", "ROLE", "STATE", "EXPIRES", "CAPABILITIES"],
    found.map((i) => [
      i.name,
      i.role,
      stateOf(i),
      timeText(i.expiresAt) ?? "never",
      i.capabilities.join(",") || "-",
    ]),
  );
}

async function show(command: Command, name: string): Promise<void> {
  const s = session(command);
  const home = await openHome(homeOf(s.options));
  const identity = await readIdentity(home, token("name")(name));
  if (identity === undefined) throw unknown(name);
  const may = expandPermissions(identity.role, identity.name, identity.capabilities);
  const creds = homeFiles(home.dir).credsOf(name);
  if (s.out.json) return s.out.document({ ...shown(identity), creds, permissions: may });
  s.out.fields([
    ["name", identity.name],
    ["role", identity.role],
    ["state", stateOf(identity)],
    ["key", identity.publicKey],
    ["issued", timeText(identity.issuedAt)],
    ["expires", timeText(identity.expiresAt) ?? "never"],
    ["capabilities", identity.capabilities.join(",") || "-"],
    ["credentials", identity.revokedAt === undefined ? creds : undefined],
  ]);
  for (const [what, subjects] of [
    ["may publish", may.publish],
    ["may not publish", may.denyPublish ?? []],
    ["may subscribe", may.subscribe],
  ] as const) {
    if (subjects.length > 0) s.out.text(`\n${what}:\n${subjects.map((x) => `  ${x}`).join("\n")}`);
  }
}

function unknown(name: string): CliError {
  return new CliError("E_NOT_FOUND", `nobody named "${name}" was given credentials here`, {
    next: "parley identity ls",
  });
}

async function revoke(command: Command, name: string): Promise<void> {
  const s = session<{ dryRun?: boolean }>(command);
  const home = await openHome(homeOf(s.options));
  const server = await serverOf(s, home.dir);
  const listed = await readIdentity(home, token("name")(name));
  // Agents that join beside the folder make themselves credentials that nobody has noted.
  const keys = listed === undefined ? await keysInUse(s, name) : [listed.publicKey];
  if (s.options.dryRun === true) {
    if (s.out.json) return s.out.document({ name, dryRun: true, publicKeys: keys, server });
    const file = listed === undefined ? "" : `remove ${homeFiles(home.dir).credsOf(name)}, `;
    s.out.note(
      `would ${file}void ${keys.join(", ")}, and ` +
        `${server === undefined ? "tell no server: none is known to run" : `tell ${server}`}`,
    );
    return;
  }
  const { shownAs, delivery } = await taken(home, name, listed === undefined ? keys : [], server);
  if (s.out.json) return s.out.document({ ...shownAs, delivery });
  s.out.text(`revoked ${name}`);
  s.out.note(
    delivery === "none"
      ? "no server is known to run here: it takes effect when one starts; " +
          `or say: parley identity revoke ${name} --server URL`
      : `${server} has cut its connections (${delivery})`,
  );
}

/** @param keys those that are in no file; none: the file says */
async function taken(home: Home, name: string, keys: string[], server: string | undefined) {
  if (keys.length > 0) {
    const delivery = await revokeKeys(home, keys, server);
    return { shownAs: { name, state: "revoked", publicKeys: keys }, delivery };
  }
  const { identity, delivery } = await revokeIdentity(home, name, server);
  return { shownAs: shown(identity), delivery };
}

/** What the agents of that name sign with, by their cards. @throws CliError E_NOT_FOUND */
async function keysInUse(s: Session<object>, name: string): Promise<string[]> {
  const cards = await withInspector(s, "read", (mesh) => mesh.readCards()).catch(() => []);
  const keys = new Set(cards.filter((c) => c.principal === name).map((c) => c.publicKey));
  if (keys.size > 0) return [...keys];
  throw unknown(name);
}

/** The server to tell: the one that is named, else the one that `parley up` runs. */
async function serverOf(s: Session<object>, home: string): Promise<string | undefined> {
  const { NATS_URL } = process.env;
  return s.options.server ?? (NATS_URL === "" ? undefined : NATS_URL) ?? (await readUp(home))?.url;
}

function stateOf(i: IssuedIdentity): string {
  if (i.revokedAt !== undefined) return "revoked";
  return (i.expiresAt ?? Infinity) <= Date.now() ? "expired" : "valid";
}

function shown(i: IssuedIdentity): object {
  return {
    name: i.name,
    role: i.role,
    state: stateOf(i),
    publicKey: i.publicKey,
    capabilities: i.capabilities,
    issuedAt: timeText(i.issuedAt),
    expiresAt: timeText(i.expiresAt),
    revokedAt: timeText(i.revokedAt),
  };
}
