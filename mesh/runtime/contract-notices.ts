// What others tell a contractor about what it is working on: stop, you are fenced, here is your
// answer; and what they ask: are you there, and still on it?
import {
  type Address,
  LiveProbeSchema,
  type Message,
  ParleyError,
  taskPath,
} from "../../contracts/index.ts";
import { supervises } from "../core/task-view.ts";
import type { Incoming } from "../ports/index.ts";
import { holdsParent } from "./authority.ts";
import type { Deps } from "./dependencies.ts";
import type { Running } from "./running.ts";

/** Initiators that get the beats of one contract. */
const BEATS_MAX = 8;

export class ContractNotices {
  readonly #d: Deps;
  readonly #running: ReadonlyMap<string, Running>;
  readonly #note: (run: Running, op: string, note: string) => void;

  constructor(
    dependencies: Deps,
    running: ReadonlyMap<string, Running>,
    note: (run: Running, op: string, note: string) => void,
  ) {
    this.#d = dependencies;
    this.#running = running;
    this.#note = note;
  }

  #find(path: string, epoch: number): Running | undefined {
    const run = this.#running.get(path);
    return run?.award.terms.epoch === epoch ? run : undefined;
  }

  /** The initiator withdrew the contract: canceled, expired, or given to somebody else. */
  onCancel(path: string, epoch: number, from: Address, reason: string, over: boolean): void {
    const run = this.#find(path, epoch);
    if (run === undefined) return;
    const refuse = () => void this.#d.inbound.reject("cancel", "E_ROLE");
    const stop = () => {
      this.#note(run, "fenced", `by ${from}`);
      run.over = true;
      run.abort.abort(new ParleyError(over ? "E_CANCELED" : "E_FENCED", reason));
    };
    const { identities } = this.#d;
    if (from === run.award.terms.initiator) return stop();
    if (!identities.on) return run.beatTo.includes(from) ? stop() : refuse();
    // Whoever adopted it may have had no reason to ask after it: a supervisor's role it takes.
    const [principal, agent] = from.split(".") as [string, string];
    identities.resolve(principal, agent, (key) => {
      if (key !== undefined && supervises(key.role)) return stop();
      refuse();
    });
  }

  /** An initiator says that this epoch is over: the fence would refuse whatever we wrote. */
  onFenced(path: string, epoch: number, from: Address): void {
    this.onCancel(path, epoch, from, "fenced: this contract was given to somebody else", false);
  }

  /** Somebody answers a question of a handler: its owner may, and operators. */
  onAnswer(from: Address, m: Extract<Message, { kind: "answer" }>): void {
    const run = this.#find(taskPath(m.owner, m.task), m.epoch);
    const take = () => {
      if (run?.journal?.answered(m.key, m.value) === true) this.#d.counters.add("answers");
    };
    if (run === undefined) return;
    const [principal, agent] = from.split(".") as [string, string];
    const { identities } = this.#d;
    const { terms, spec } = run.award;
    if (principal === m.owner || from === terms.submitter || !identities.on) return take();
    identities.resolve(principal, agent, async (key) => {
      // Whoever took the parent over speaks for its submitter.
      if (key?.role === "admin" || (await holdsParent(this.#d.records, spec, from))) return take();
      this.#d.inbound.reject("answer", "E_ROLE");
    });
  }

  onProbe(message: Incoming): void {
    const probe = this.#d.inbound.read("live", LiveProbeSchema, message);
    const reply = this.#d.inbound.replyTo("live", message);
    if (probe === undefined || reply === undefined) return;
    const run = this.#find(taskPath(probe.owner, probe.task), probe.epoch);
    const here = run !== undefined && !run.over;
    if (here && run.beatTo.length < BEATS_MAX && !run.beatTo.includes(probe.from)) {
      run.beatTo.push(probe.from);
    }
    this.#d.transport.publish(reply, Uint8Array.of(here ? 1 : 0));
  }
}
