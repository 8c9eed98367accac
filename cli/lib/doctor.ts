// The checks of `parley doctor`, in the order in which one thing rests on another.
import { CLOCK_SKEW_MS, RECORD_BYTES_MAX } from "../../contracts/limits.ts";
import { expandPermissions } from "../../contracts/roles.ts";
import {
  AUDIT_STREAM,
  supervisionConsumer,
  TASKS_STREAM,
  URGENCY,
} from "../../contracts/subjects.ts";
import type { Inspector } from "../../mesh/inspector.ts";
import {
  examineStreams,
  pullers,
  type ServerFacts,
  type StreamFinding,
  serverFacts,
} from "../../mesh/nats/examination.ts";
import { parseCreds } from "../../mesh/nats/identity/creds.ts";
import { readIfThere } from "../../mesh/nats/identity/files.ts";
import { homeFiles } from "../../mesh/nats/identity/home.ts";
import { compareVersions, serverVersionFloor } from "../../mesh/nats/server/version.ts";
import { type Check, durability } from "./durability.ts";
import { lengthText } from "./output.ts";
import type { Target } from "./target.ts";

const DAY_MS = 24 * 3_600_000;
/** A clock this far off deserves a word, ms; further than CLOCK_SKEW_MS signatures are refused. */
const SKEW_MS_WARN = 1_000;
/** Below these the mesh's own sizes do not fit; bytes. */
const CONTROL_LINE_MIN = 16 * 1024;
const CONSUMERS_MIN = 10_000;

export async function examine(mesh: Inspector, target: Target): Promise<Check[]> {
  const facts = await factsOf(target);
  const checks: Check[] = [];
  checks.push(...(await server(mesh, target)), identity(target), trust(target));
  checks.push(...(await streams(mesh, target)));
  checks.push(durability(facts, target), ...limits(mesh, facts), clock(facts));
  checks.push(await permissions(mesh, target), await supervision(mesh, target));
  checks.push(await registry(mesh));
  return checks;
}

/** The server itself is asked through the system account, whose credentials the folder holds. */
async function factsOf(target: Target): Promise<ServerFacts | undefined> {
  const text = await readIfThere(homeFiles(target.home).systemCreds);
  if (text === undefined) return undefined;
  return serverFacts(target.servers, parseCreds(text), target.timeoutMs).catch(() => undefined);
}

async function server(mesh: Inspector, target: Target): Promise<Check[]> {
  const nc = mesh.transport.connection;
  const roundTripMs = await nc.rtt();
  const version = nc.info?.version ?? "0.0.0";
  const old = compareVersions(version, serverVersionFloor) < 0;
  return [
    {
      check: "server",
      verdict: "ok",
      text: `${nc.getServer()}, ${lengthText(roundTripMs)} away (from ${target.serversFrom})`,
    },
    {
      check: "version",
      verdict: old ? "fail" : "ok",
      text: `nats-server ${version}; ${serverVersionFloor} or newer is needed`,
      ...(old ? { fix: "install a newer nats-server, or let parley up fetch one" } : {}),
    },
    nc.info?.jetstream === true
      ? { check: "jetstream", verdict: "ok", text: "on" }
      : {
          check: "jetstream",
          verdict: "fail",
          text: "off: tasks cannot be stored",
          fix: "start the server with -js, or with the nats-server.conf of this project",
        },
  ];
}

function identity(target: Target): Check {
  const who =
    `${target.principal} (${target.role ?? "role not known"}), ` +
    `credentials: ${target.credsFrom}`;
  const { expiresAt } = target;
  if (expiresAt === undefined || expiresAt - Date.now() > 7 * DAY_MS) {
    return { check: "identity", verdict: "ok", text: who };
  }
  return {
    check: "identity",
    verdict: "warn",
    text: `${who}; they expire in ${lengthText(expiresAt - Date.now())}`,
    fix: `parley identity revoke ${target.principal}, then add it again`,
  };
}

function trust(target: Target): Check {
  return target.trust !== undefined
    ? { check: "trust", verdict: "ok", text: "signatures are checked" }
    : {
        check: "trust",
        verdict: "warn",
        text: `no trust.json for these credentials in ${target.home}: signatures are not checked`,
        fix: "copy the mesh's trust.json there, or name its folder: --home DIR",
      };
}

async function streams(mesh: Inspector, target: Target): Promise<Check[]> {
  const found = await examineStreams(mesh.transport.connection, target.timeoutMs);
  return found.map(streamCheck);
}

function streamCheck({ name, state, differing, messages }: StreamFinding): Check {
  const check = `stream ${name}`;
  if (state === "as wanted") {
    return { check, verdict: "ok", text: `as wanted, ${messages} messages` };
  }
  if (state === "different") {
    return {
      check,
      verdict: "fail",
      text: `other settings than wanted: ${differing.join(", ")}`,
      fix: `nats stream info ${name}; set them back, or remove it, then: parley provision`,
    };
  }
  if (state === "not permitted") {
    return {
      check,
      verdict: "warn",
      text: "these credentials may not ask",
      fix: "use admin credentials: --creds …/operator.creds",
    };
  }
  return name === AUDIT_STREAM
    ? { check, verdict: "ok", text: "not kept: no history for audits" }
    : { check, verdict: "fail", text: "missing", fix: "parley provision makes it" };
}

function limits(mesh: Inspector, facts: ServerFacts | undefined): Check[] {
  const payload = mesh.transport.payloadMax;
  const checks: Check[] = [
    payload >= 2 * RECORD_BYTES_MAX
      ? { check: "max_payload", verdict: "ok", text: `${payload} bytes` }
      : {
          check: "max_payload",
          verdict: "fail",
          text: `${payload} bytes; ${2 * RECORD_BYTES_MAX} are needed`,
          fix: "max_payload: 1MB in nats-server.conf",
        },
  ];
  if (facts === undefined) return checks;
  checks.push(
    facts.maxControlLine >= CONTROL_LINE_MIN
      ? { check: "max_control_line", verdict: "ok", text: `${facts.maxControlLine} bytes` }
      : {
          check: "max_control_line",
          verdict: "warn",
          text: `${facts.maxControlLine} bytes: credentials with many capabilities do not fit`,
          fix: "max_control_line: 64KB in nats-server.conf",
        },
  );
  const most = facts.consumersDefaultMax ?? 0;
  checks.push(
    most <= 0 || most >= CONSUMERS_MIN
      ? { check: "consumers", verdict: "ok", text: most <= 0 ? "no limit" : `${most} per stream` }
      : {
          check: "consumers",
          verdict: "warn",
          text: `${most} per stream, watchers included`,
          fix: "jetstream { limits { default_max_consumers: 20000 } } in nats-server.conf",
        },
  );
  return checks;
}

function clock(facts: ServerFacts | undefined): Check {
  if (facts === undefined || !Number.isFinite(facts.clock.at)) {
    return {
      check: "clock",
      verdict: "warn",
      text: "the server's clock cannot be read here",
      fix: "run doctor with --home at the mesh's folder",
    };
  }
  const { at, readAt, within } = facts.clock;
  const skew = Math.max(0, Math.abs(at - readAt) - within);
  const text = `${lengthText(skew)} apart from the server's, at least`;
  if (skew <= SKEW_MS_WARN) {
    return { check: "clock", verdict: "ok", text: "agrees with the server's" };
  }
  return {
    check: "clock",
    verdict: skew > CLOCK_SKEW_MS ? "fail" : "warn",
    text: skew > CLOCK_SKEW_MS ? `${text}: awards are refused as stale` : text,
    fix: "keep both clocks by NTP (timedatectl set-ntp true)",
  };
}

/** Does the server still grant what this version's role says? Its templates may be older. */
async function permissions(mesh: Inspector, target: Target): Promise<Check> {
  const check = "permissions";
  if (target.role === undefined || target.trust === undefined) {
    return { check, verdict: "warn", text: "the role of these credentials is not known here" };
  }
  const refused: string[] = [];
  const nc = mesh.transport.connection;
  const wanted = expandPermissions(target.role, target.principal, []).subscribe;
  const subs = wanted.map((subject) =>
    nc.subscribe(subject, {
      callback: (error) => {
        if (error !== null) refused.push(subject);
      },
    }),
  );
  await nc.flush();
  for (const sub of subs) sub.unsubscribe();
  return refused.length === 0
    ? { check, verdict: "ok", text: `all that ${target.role} should hear` }
    : {
        check,
        verdict: "fail",
        text: `the server refuses ${refused.join(", ")}`,
        fix: "restart the server: it has permission templates of an older version",
      };
}

async function supervision(mesh: Inspector, target: Target): Promise<Check> {
  const waiting = await Promise.all(
    URGENCY.map((urgency) =>
      pullers(
        mesh.transport.connection,
        TASKS_STREAM,
        supervisionConsumer(urgency),
        target.timeoutMs,
      ),
    ),
  );
  const fix = "parley up, or an agent with the role agent or initiator";
  if (waiting.some((n) => n === undefined)) {
    return {
      check: "initiators",
      verdict: "warn",
      text: "not known: consumers cannot be asked",
      fix,
    };
  }
  const idle = waiting.some((n) => n === 0);
  return {
    check: "initiators",
    verdict: idle ? "warn" : "ok",
    text: idle
      ? "nobody waits for tasks just now: what is submitted may stay where it is"
      : `${Math.min(...waiting.map(Number))} peers or more wait for tasks`,
    ...(idle ? { fix } : {}),
  };
}

async function registry(mesh: Inspector): Promise<Check> {
  try {
    const cards = await mesh.readCards();
    const offering = cards.filter((c) => c.capabilities.length > 0).length;
    const refused = mesh.counters.get("refused.card");
    if (refused > 0) {
      return {
        check: "agents",
        verdict: "warn",
        text: `${offering} agents; ${refused} cards cannot be proven`,
        fix: "parley identity ls    (revoked or expired?)",
      };
    }
    return {
      check: "agents",
      verdict: "ok",
      text: `${offering} agents offer something, ${cards.length} peers in all`,
    };
  } catch (error) {
    return {
      check: "agents",
      verdict: "warn",
      text: (error as Error).message,
      fix:
        (error as { code?: string }).code === "E_PERMISSION"
          ? "use an observer's or an admin's credentials: --creds …/observer.creds"
          : "parley provision makes the registry",
    };
  }
}
