// What a conformance case plays on: a broker, real or simulated, and whoever joins it. The cases
// are the same for both, so that the model cannot say what a server does not.
import type { Role } from "../../contracts/index.ts";
import type { Link } from "../../mesh/nats/link.ts";
import type {
  Artefacts,
  CardStore,
  Clock,
  Incoming,
  Ledger,
  Supervision,
  Write,
  WriteResult,
} from "../../mesh/ports/index.ts";

/** Ack wait of the supervision consumers on every stage, ms. */
export const ACK_WAIT_MS = 1_000;

export interface Member {
  readonly name: string;
  /** As the server's notices show it. */
  readonly user: string;
  readonly link: Link;
  readonly ledger: Ledger;
  readonly supervision: Supervision;
  readonly cards: CardStore;
  readonly artefacts: Artefacts;
  readonly clock: Clock;
  /** Errors that its connection reported. */
  readonly errors: string[];
  /** Ends its connection without a farewell. */
  kill(): Promise<void>;
}

/** A member whose link can be cut: what is under way is held, and goes on when it is mended. */
export interface Reachable extends Member {
  cut(which: "both" | "up" | "down"): Promise<void>;
  mend(): Promise<void>;
}

export interface Stage {
  join(name: string, role: Role, capabilities?: readonly string[]): Promise<Member>;
  /** The same over a link that can be cut. */
  reach(name: string, role: Role): Promise<Reachable>;
  /** Kills the server; what is stored stays. Settles when nobody listens on its port any more. */
  killServer(): Promise<void>;
  /** Starts it again. */
  startServer(): Promise<void>;
  /** The newest revision of which the server's disk knows that it was handed out; 0: of none. */
  handedOnDisk(): number;
  /** Lets time pass until the condition holds; rejects with `what` after `limitMs`. */
  until(condition: () => boolean, what: string, limitMs?: number): Promise<void>;
  /** Lets time pass until the promise is settled. */
  settle<T>(promise: Promise<T>): Promise<T>;
  /** Everything that this member has said so far has reached the server and had its effect. */
  flush(...members: Member[]): Promise<void>;
  stop(): Promise<void>;
}

export interface Case {
  name: string;
  play(stage: Stage): Promise<void>;
}

/** Lets so much of a member's time pass: for what must not happen meanwhile. */
export function pass(stage: Stage, member: Member, ms: number): Promise<void> {
  return stage.settle(new Promise<void>((resolve) => member.clock.after(ms, resolve)));
}

export const bytes = (text: string): Uint8Array => Buffer.from(text);
export const text = (m: Pick<Incoming, "data">): string => Buffer.from(m.data).toString();

let ids = 0;

/** A spec of one's own, the first record of a new task unless told otherwise. */
export function write(owner: string, over: Partial<Write> & { task?: string } = {}): Write {
  const n = ++ids;
  const { task = `task${n}`, ...rest } = over;
  const self = { fromPrincipal: owner, fromAgent: "main", toPrincipal: "_", toAgent: "_" };
  return {
    key: { owner, task, kind: "spec", n: "0-1", ...self },
    body: bytes(JSON.stringify({ task, n })),
    headers: {},
    guard: 0,
    id: `id${String(n).padStart(24, "0")}`,
    ...rest,
  };
}

/** A later record of the same task by the same author. */
export function next(w: Write, guard: number, kind: Write["key"]["kind"] = "cancel"): Write {
  const { owner, task } = w.key;
  const key = { ...w.key, kind, n: "0", toPrincipal: owner, toAgent: "main" };
  return { ...write(owner, { task, guard }), key };
}

export function store(stage: Stage, member: Member, w: Write): Promise<WriteResult> {
  return stage.settle(new Promise((resolve) => member.ledger.write(w, resolve)));
}

/** The write's revision; throws when it was not stored. */
export async function rev(stage: Stage, member: Member, w: Write): Promise<number> {
  const result = await store(stage, member, w);
  if (!result.ok) throw new Error(`not stored: ${JSON.stringify(result)}`);
  return result.rev;
}

/** Subscribes and keeps what comes. */
export function tap(member: Member, pattern: string, queue?: string): Incoming[] {
  const heard: Incoming[] = [];
  member.link.subscribe(pattern, (m) => void heard.push(m), queue === undefined ? {} : { queue });
  return heard;
}
