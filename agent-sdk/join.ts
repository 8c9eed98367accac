// Joining: finds the mesh and an identity, and gives the mesh to the author.
import { randomBytes } from "node:crypto";
import { AttributesSchema, isToken, NOBODY, ParleyError, tokenAdvice } from "../contracts/index.ts";
import { defaultLog } from "../mesh/index.ts";
import { checkKnown, checkSignal, type Known } from "./known-options.ts";
import { Mesh, type MeshOptions } from "./mesh.ts";
import { openAccess, reachServer } from "./nats.ts";
import { findPlace, type PlaceOptions } from "./settings.ts";
import { drainOnSignals } from "./signals.ts";

export interface JoinOptions extends PlaceOptions, Omit<MeshOptions, "agent" | "log" | "name"> {
  /** What this agent is called: one token. With the mesh's own folder it is the principal too. */
  name: string;
  /**
   * Second token of the address, for a stable one that `to` can name. Only one process at a time
   * may use it; by default it is drawn, so that replicas never meet. Beside the mesh's folder its
   * key is kept there: what it wrote is proven by it.
   */
  agent?: string;
  /** What will be served, when it is known: saves a reconnect per further `serve`. */
  capabilities?: readonly ({ readonly name: string } | string)[];
  /** A pino logger, or anything of its shape. Default: JSON lines on standard error. */
  log?: MeshOptions["log"];
  /** Aborted: the agent drains and leaves. */
  signal?: AbortSignal;
  /** SIGTERM and SIGINT drain and then end the process; a second one ends it at once. */
  onSignals?: "drain" | "ignore";
}

/**
 * Joins a mesh. The address comes from `server`, `context`, NATS_URL, NATS_CONTEXT, or from what
 * `parley up` left in the home folder; the identity from `creds`, `nkey`, `context`, `home`,
 * NATS_CREDS, NATS_NKEY, NATS_CONTEXT, PARLEY_HOME, or `.parley`.
 * @throws ParleyError E_CONNECTION, E_IDENTITY, E_PERMISSION or E_SCHEMA, saying what to do.
 */
export async function join(options: JoinOptions): Promise<Mesh> {
  try {
    check(options);
    options.signal?.throwIfAborted();
    return await joinMesh(options);
  } catch (error) {
    throw plain(error);
  }
}

async function joinMesh(o: JoinOptions): Promise<Mesh> {
  const place = findPlace(o);
  const access = await openAccess(place, o.name, o.agent);
  const wanted = o.capabilities?.map((c) => (typeof c === "string" ? c : c.name));
  const missing = wanted?.filter((name) => !access.capabilities.includes(name)) ?? [];
  if (missing.length > 0) await access.grow(missing);
  const own = access.principal === o.name ? "" : `${o.name.slice(0, 57)}-`;
  const { slots, attributes, description, policies, roles, tuning } = o;
  const optional = { slots, attributes, description, policies, roles, tuning };
  const mesh = new Mesh(access, {
    name: o.name,
    agent: o.agent ?? own + randomBytes(3).toString("hex"),
    log: o.log ?? defaultLog(process.env.PARLEY_LOG ?? "info"),
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
  });
  // An identity that grows is connected with what the first `serve` asks for.
  if (access.grows && wanted === undefined) await reachServer(place);
  else await mesh.open();
  const { signal } = o;
  if (signal !== undefined) {
    const leave = () => void mesh.drain();
    signal.addEventListener("abort", leave, { once: true });
    mesh.onClosed(() => signal.removeEventListener("abort", leave));
    if (signal.aborted) leave();
  }
  if (o.onSignals !== "ignore") drainOnSignals(mesh);
  return mesh;
}

const KNOWN: Known<JoinOptions> = {
  name: true,
  agent: true,
  capabilities: true,
  log: true,
  signal: true,
  onSignals: true,
  slots: true,
  attributes: true,
  description: true,
  policies: true,
  roles: true,
  tuning: true,
  server: true,
  creds: true,
  nkey: true,
  context: true,
  home: true,
};
const LEVELS = ["debug", "info", "warn", "error", "child"] as const;

function check(o: JoinOptions): void {
  // Scripts run without the compiler's word on them.
  if (typeof (o as Partial<JoinOptions> | undefined)?.name !== "string") {
    throw new ParleyError("E_SCHEMA", 'join takes an object with a name: join({ name: "ann" })');
  }
  checkKnown<JoinOptions>("join", o, KNOWN);
  checkSignal("join", o.signal);
  const { log } = o;
  if (log !== undefined && !LEVELS.every((level) => typeof log?.[level] === "function")) {
    const text = `log must have ${LEVELS.join(", ")}, as a pino logger has`;
    throw new ParleyError("E_SCHEMA", text);
  }
  for (const [what, text] of [
    ["name", o.name],
    ["agent", o.agent ?? "x"],
  ] as const) {
    if (!isToken(text)) throw new ParleyError("E_SCHEMA", tokenAdvice(what, String(text)));
    if (text === NOBODY) {
      throw new ParleyError("E_SCHEMA", `${what} "${NOBODY}" means nobody; take another`);
    }
  }
  if (o.slots !== undefined && !(Number.isInteger(o.slots) && o.slots >= 1)) {
    throw new ParleyError("E_SCHEMA", `slots must be 1 or more, not ${o.slots}`);
  }
  if (!AttributesSchema.optional().safeParse(o.attributes).success) {
    throw new ParleyError(
      "E_SCHEMA",
      "attributes must be texts (256 characters at most), numbers or booleans, 64 of them at most",
    );
  }
}

/** What an operator must mend needs no stack: the first sample's reader sees only the advice. */
function plain(error: unknown): unknown {
  if (error instanceof ParleyError && ["E_CONNECTION", "E_IDENTITY"].includes(error.code)) {
    error.stack = `${error.name}: ${error.message}`;
  }
  return error;
}
