// What every command starts with: its options, its output, and a connection when it needs one.
import type { Command } from "commander";
import type { Log } from "../../mesh/ports/index.ts";
import { CliError } from "./errors.ts";
import { interruption } from "./interrupt.ts";
import { Output } from "./output.ts";
import type { Purpose } from "./standing.ts";
import { findTarget, type Globals, type Target } from "./target.ts";

type Inspector = import("../../mesh/inspector.ts").Inspector;
type OpenPeer = import("../../mesh/index.ts").OpenPeer;

export interface Session<Options> {
  options: Options & Globals;
  out: Output;
  /** Aborted by Ctrl-C. */
  signal: AbortSignal;
}

/** Options of the command and of the program, and where to print. */
export function session<Options = object>(command: Command): Session<Options> {
  const options = command.optsWithGlobals() as Options & Globals;
  return {
    options,
    out: new Output({ json: options.json === true, quiet: options.quiet === true }),
    signal: interruption(),
  };
}

function connecting(target: Target) {
  return {
    servers: target.servers,
    principal: target.principal,
    timeoutMs: target.timeoutMs,
    ...(target.authenticator === undefined ? {} : { authenticator: target.authenticator }),
    ...(target.signer === undefined ? {} : { signer: target.signer }),
    ...(target.jwt === undefined ? {} : { jwt: target.jwt }),
    ...(target.trust === undefined ? {} : { trust: target.trust }),
    ...(target.tls === undefined ? {} : { tls: target.tls }),
  };
}

/** No server, or not as this user: the status says "no connection", whatever the reason. */
function atConnecting(error: unknown): never {
  const e = error as { code?: string; message?: string };
  if (e.code === "E_PERMISSION") {
    throw new CliError("E_PERMISSION", e.message ?? "refused", { exit: 3, cause: error });
  }
  throw error;
}

/** Runs `work` with a reader of the mesh, and closes it whatever happens. */
export async function withInspector<T>(
  s: Session<unknown>,
  purpose: Purpose,
  work: (mesh: Inspector, target: Target) => Promise<T>,
): Promise<T> {
  const { Inspector } = await import("../../mesh/inspector.ts");
  const target = await findTarget(s.options, purpose);
  const mesh = await Inspector.open({
    ...connecting(target),
    name: "parley",
    role: target.role,
  }).catch(atConnecting);
  if (!mesh.proving) {
    s.out.note(
      "signatures are not checked: the mesh's trust.json is not in " +
        `${target.home} (name its folder with --home)`,
    );
  }
  try {
    return await whileAdmitted(mesh.transport.connection, () => work(mesh, target));
  } finally {
    await mesh.close().catch(() => undefined);
  }
}

/** Runs `work` with a peer that submits and calls, and closes it whatever happens. */
export async function withSubmitter<T>(
  s: Session<unknown>,
  work: (peer: OpenPeer["peer"], opened: OpenPeer, target: Target) => Promise<T>,
): Promise<T> {
  const { openPeer } = await import("../../mesh/index.ts");
  const target = await findTarget(s.options, "submit");
  const opened = await openPeer({
    ...connecting(target),
    name: "parley",
    agent: "main",
    role: target.role ?? "submitter",
    use: { contractor: false, initiator: false, submitter: true, intake: false },
    log: logTo(s.out),
  }).catch(atConnecting);
  try {
    const { connection } = opened.transport;
    return await whileAdmitted(connection, () => work(opened.peer, opened, target));
  } finally {
    await opened.close(0).catch(() => undefined);
  }
}

/** A server that is away is waited for; one that takes us no more ends the command. */
function whileAdmitted<T>(
  connection: { closed(): Promise<unknown> },
  work: () => Promise<T>,
): Promise<T> {
  const refused = connection.closed().then((reason) => {
    const why = reason instanceof Error ? `: ${reason.message}` : "";
    throw new CliError("E_PERMISSION", `the server takes these credentials no more${why}`, {
      exit: 3,
      next: "parley doctor    (are they revoked, or expired?)",
    });
  });
  return Promise.race([work(), refused]);
}

/** @throws CliError E_PERMISSION before the server refuses what cannot be told from an outage */
export function checkSubmits({ role, principal }: Target): void {
  if (role !== "observer") return;
  throw new CliError("E_PERMISSION", `${principal}, an observer, may not submit or call`, {
    next: "parley identity add NAME --role submitter, then --creds .../NAME.creds",
  });
}

/** Warnings of the runtime as lines on standard error. */
export function logTo(out: Output): Log {
  const say = (fields: object, text: string) => {
    const shown = Object.entries(fields).map(([name, value]) => `${name}=${String(value)}`);
    out.note(`parley: ${text}${shown.length === 0 ? "" : ` (${shown.join(", ")})`}`);
  };
  const log: Log = {
    debug: () => undefined,
    info: () => undefined,
    warn: say,
    error: say,
    child: () => log,
  };
  return log;
}
