// The desk of a submitter: writes specs, follows what becomes of them, makes live calls.
import {
  type Address,
  type Alternative,
  type AwardWish,
  CARRIED,
  DEADLINE_MS_DEFAULT,
  directedSubject,
  type Failure,
  failure as failureOf,
  type Hints,
  lookSubject,
  type Outcome,
  ParleyError,
  PRIORITY_DEFAULT,
  type Progress,
  type RecordKey,
  type Reference,
  type Requirements,
  type Spec,
  specN,
  type TaskState,
  taskPath,
  urgencyOf,
} from "../../contracts/index.ts";
import { AUTHOR_UNKNOWN, foldTask, type ReadRecord, type TaskView } from "../core/task-view.ts";
import type { Artefacts, Incoming, Signer } from "../ports/index.ts";
import { encodeContent, neededMs } from "./artefact.ts";
import { cancelTask } from "./cancel.ts";
import { encodeJson } from "./codec/codec.ts";
import { jsonBytes } from "./codec/encode-own.ts";
import type { Deps } from "./dependencies.ts";
import type { Initiators } from "./initiators.ts";
import { MissedLooks } from "./missed-looks.ts";
import { checkSame, checkSpec, isSame } from "./spec-checks.ts";
import { type TaskEvent, Tracker, type TrackerHooks } from "./tracker.ts";

/** One answers within milliseconds; whoever was asked may be gone without the server's knowing. */
const LOOK_TIMEOUT_MS = 3_000;
/** Records of others under the id of a task behind which its spec is put, one after the other. */
const PLACE_TRIES = 5;

export interface TaskOptions {
  /** Own task id (a token); makes a repeated submission the same task. */
  task?: string;
  version?: string;
  requires?: Requirements;
  hints?: Hints;
  award?: AwardWish;
  to?: Address;
  only?: boolean;
  exclude?: Address[];
  /** Absolute, ms since the epoch; or `timeoutMs` from now. Default: ten minutes from now. */
  deadline?: number;
  timeoutMs?: number;
  priority?: number;
  budget?: number;
  retry?: { attempts?: number; backoffMs?: number };
  /** What to try, in this order, when the capability failed. */
  otherwise?: Alternative[];
  /** How long to look for a free agent before the next alternative, ms. Default 5 s. */
  patienceMs?: number;
  /** See the spec: of steps that wait, the longest way to the end goes first, ms. */
  rank?: number;
  redriveOf?: string;
  /** The input, where it is in the object store already. */
  inputRef?: Reference;
  retainMs?: number;
  traceparent?: string;
  tracestate?: string;
  onBehalfOf?: string;
  /** For sub-tasks: the parent's contract, and whom the whole tree runs for. */
  parent?: Spec["parent"];
  owner?: string;
  signal?: AbortSignal;
}

export interface SubmitterOptions {
  agent: Address;
  principal: string;
  signer: Signer | undefined;
  /** May this identity read the store itself? Else any initiator is asked. */
  mayRead: boolean;
}

export class Submitters {
  readonly #d: Deps;
  readonly #o: SubmitterOptions;
  readonly #artefacts: Artefacts;
  readonly #initiators: Initiators;
  #trackers = new Map<string, Tracker>();
  readonly #missed: MissedLooks;
  #stopped = false;
  /** Open tasks under ids of the caller's own: the same id is the same task. */
  #named = new Map<string, { spec: Promise<Spec>; made: Promise<Tracker> }>();

  constructor(
    dependencies: Deps,
    options: SubmitterOptions,
    artefacts: Artefacts,
    initiators: Initiators,
  ) {
    this.#d = dependencies;
    this.#o = options;
    this.#artefacts = artefacts;
    this.#initiators = initiators;
    this.#missed = new MissedLooks(dependencies.clock);
  }

  get open(): number {
    return this.#trackers.size;
  }

  /**
   * Resolves once the spec is stored: from then on the task is the mesh's to finish.
   * @throws ParleyError E_TAKEN: the id is that of a task with other content. Where nobody can tell
   * that now, it is the handle that fails so, once somebody can; E_STORE, E_PERMISSION: not stored
   */
  async submit(capability: string, input: unknown, options: TaskOptions): Promise<Tracker> {
    this.#mayBegin();
    const spec = this.#spec(capability, input, options);
    if (options.task === undefined) return this.#submit(spec);
    const id = `${options.owner ?? this.#o.principal}.${options.task}`;
    const same = this.#named.get(id);
    if (same !== undefined) {
      checkSame(...(await Promise.all([same.spec, spec])));
      return same.made;
    }
    const made = this.#submit(spec);
    const forget = () => void this.#named.delete(id);
    this.#named.set(id, { spec, made });
    made.then((tracker) => tracker.onEnd(forget), forget);
    return made;
  }

  async #submit(made: Promise<Spec>): Promise<Tracker> {
    const spec = await made;
    this.#mayBegin();
    // An id of the caller's own, and nobody could tell what the task asks for that has it already.
    let unchecked = false;
    const tracker = this.#track(spec, async () => {
      const records = await this.look(spec.owner, spec.task);
      try {
        unchecked = unchecked && !isSame(records, spec);
      } catch (error) {
        tracker.abandon(error as ParleyError);
      }
      return records;
    });
    this.#trackers.set(taskPath(spec.owner, spec.task), tracker);
    try {
      const taken = (await this.#place(spec, tracker)) === "taken";
      unchecked = taken && !(await this.#again(spec, tracker));
    } catch (error) {
      this.#trackers.delete(taskPath(spec.owner, spec.task));
      throw error;
    }
    this.#d.counters.add("submitted");
    this.#untilItEnds(tracker);
    return tracker;
  }

  /**
   * A task that is stored already, by whomever; undefined: there is none.
   * @throws ParleyError E_STORE, E_TIMEOUT: nobody can tell that now
   */
  async follow(owner: string, task: string): Promise<Tracker | undefined> {
    const path = taskPath(owner, task);
    const isThere = this.#trackers.has(path) || (await this.look(owner, task, 1)).length > 0;
    const known = this.#trackers.get(path);
    if (!isThere || known !== undefined) return known;
    const tracker = this.#track({ owner, task }, () => this.look(owner, task));
    this.#trackers.set(path, tracker);
    this.#untilItEnds(tracker);
    tracker.follow();
    tracker.lookSoon();
    return tracker;
  }

  #track(about: Pick<Spec, "owner" | "task">, look: TrackerHooks["look"]): Tracker {
    const { owner, task } = about;
    const tracker: Tracker = new Tracker(task, owner, this.#d.clock, {
      cancel: (reason) => this.#cancel(about, tracker, reason),
      look,
      looked: (by, answered) => (answered ? this.#missed.answered() : this.#missed.missed(by)),
      tell: (to, epoch, key, value) => {
        const said = { v: 1, kind: "answer", owner, task, epoch, key, value };
        const subject = directedSubject("msg", to, this.#o.agent);
        this.#d.transport.publish(subject, jsonBytes(said));
      },
      claims: owner === this.#o.principal,
      artefacts: this.#artefacts,
    });
    return tracker;
  }

  #untilItEnds(tracker: Tracker): void {
    tracker.onEnd(() => {
      this.#missed.leave(tracker);
      this.#trackers.delete(taskPath(tracker.owner, tracker.task));
    });
  }

  /** Behind what others wrote under its id that counts for nothing, if need be (P2.4). */
  async #place(spec: Spec, tracker: Tracker): Promise<"stored" | "taken"> {
    let asked = spec;
    let rev = 0;
    for (let tries = 0; tries < PLACE_TRIES; tries++) {
      if ((await this.#store(asked, rev, tracker)) === "stored") return "stored";
      const behind = await this.#idle(spec);
      if (behind === undefined) return "taken";
      rev = behind.rev;
      asked = { ...spec, prev: behind.head };
      this.#d.counters.add("submitted.behind");
    }
    const fix = "submit it under another id; parley task get shows who";
    throw new ParleyError("E_TAKEN", `somebody goes on writing under task ${spec.task}: ${fix}`);
  }

  /** What is stored under this id, where nothing of it counts. */
  async #idle({ owner, task }: Spec): Promise<TaskView | undefined> {
    const records = await this.look(owner, task, 1).catch(() => []);
    const isKnown = records.every((r) => r.unread !== true && r.flaw !== AUTHOR_UNKNOWN);
    const view = foldTask(records);
    const isIdle = view.spec === undefined && view.outcome === undefined && view.rev > 0;
    return isKnown && isIdle ? view : undefined;
  }

  #store(spec: Spec, rev: number, tracker: Tracker): Promise<"stored" | "taken"> {
    return new Promise((resolve, reject) => {
      this.#d.records.write(this.#specKey(spec), spec, rev, this.#o.signer, (result, head) => {
        if (result.ok) {
          tracker.stored(result.rev, head());
          return resolve("stored");
        }
        if (result.fault === "conflict") {
          tracker.stored(result.rev ?? 0, "");
          return resolve("taken");
        }
        reject(
          new ParleyError(
            result.fault === "refused" ? "E_PERMISSION" : "E_STORE",
            result.fault !== "unknown"
              ? `the task was not accepted: ${result.detail}`
              : `task ${spec.task} may or may not be stored (${result.detail}): submit it again ` +
                  "under the same id, which makes it the same task",
          ),
        );
      });
    });
  }

  /** With an id of the caller's own: the same task once more, if it asks for the same. */
  async #again(spec: Spec, tracker: Tracker): Promise<boolean> {
    const look = () => this.look(spec.owner, spec.task).catch(() => []);
    const checked = isSame(spec.parent === undefined ? await look() : [], spec);
    // Written by somebody else, its notices do not come here.
    if (spec.owner !== this.#o.principal || spec.parent !== undefined) tracker.follow();
    tracker.lookSoon();
    return checked;
  }

  #specKey(spec: Spec): RecordKey {
    const [fromPrincipal, fromAgent] = this.#o.agent.split(".") as [string, string];
    return {
      owner: spec.owner,
      task: spec.task,
      kind: "spec",
      n: specN(urgencyOf(spec.priority)),
      toPrincipal: "_",
      toAgent: "_",
      fromPrincipal,
      fromAgent,
    };
  }

  /** A live call: the caller is the initiator, nothing is stored. */
  async call(capability: string, input: unknown, options: TaskOptions): Promise<Tracker> {
    const spec = await this.#spec(capability, input, options);
    await this.#d.fields.know(capability, spec.requires);
    this.#mayBegin();
    const tracker = new Tracker(spec.task, spec.owner, this.#d.clock, {
      cancel: async (reason) =>
        this.#initiators.cancelLive(taskPath(spec.owner, spec.task), reason),
      look: async () => [],
      tell: () => undefined,
      claims: false,
      contractor: () => this.#initiators.contractorOf(taskPath(spec.owner, spec.task)),
      artefacts: this.#artefacts,
    });
    this.#trackers.set(taskPath(spec.owner, spec.task), tracker);
    tracker.onEnd(() => this.#trackers.delete(taskPath(spec.owner, spec.task)));
    try {
      this.#initiators.call(spec, encodeJson(spec), {
        ended: (state, failure, attempts) =>
          tracker.end({ ...this.#made(spec.task, state, failure), attempts }),
      });
    } catch (error) {
      this.#trackers.delete(taskPath(spec.owner, spec.task));
      throw error;
    }
    return tracker;
  }

  #made(task: string, state: Outcome["state"], failure: Failure | undefined): Outcome {
    return {
      v: 1,
      kind: "outcome",
      task,
      epoch: 0,
      state,
      attempts: 0,
      endedAt: Math.round(this.#d.clock.wall()),
      prev: "",
      failure: failure ?? failureOf("E_NO_BID"),
    };
  }

  async #spec(capability: string, input: unknown, o: TaskOptions): Promise<Spec> {
    const now = Math.round(this.#d.clock.wall());
    const spec: Spec = {
      v: 1,
      kind: "spec",
      task: o.task ?? this.#d.random.id(),
      owner: o.owner ?? this.#o.principal,
      capability,
      input,
      deadline: o.deadline ?? now + (o.timeoutMs ?? DEADLINE_MS_DEFAULT),
      priority: o.priority ?? PRIORITY_DEFAULT,
      at: now,
    };
    for (const name of [...CARRIED, "redriveOf", "parent"] as const) {
      if (o[name] !== undefined) Object.assign(spec, { [name]: o[name] });
    }
    if (o.retry !== undefined) {
      spec.retry = { attempts: o.retry.attempts ?? 3, backoffMs: o.retry.backoffMs ?? 200 };
    }
    if (o.inputRef !== undefined) {
      delete (spec as { input?: unknown }).input;
      spec.inputRef = o.inputRef;
    }
    checkSpec(spec);
    if (o.inputRef !== undefined) return spec;
    const { bytes, inline } = encodeContent(input ?? null);
    if (!inline) {
      spec.inputRef = await this.#artefacts.put(bytes, neededMs(spec, now));
      delete (spec as { input?: unknown }).input;
    }
    return spec;
  }

  /** An outcome addressed to this submitter, or any record of a task that it owns. */
  onRecord(record: ReadRecord & { key: RecordKey }): void {
    if (record.flaw === AUTHOR_UNKNOWN) return this.lookAt(record.key);
    this.#trackers.get(taskPath(record.key.owner, record.key.task))?.onRecord(record);
  }

  /** A notice of it could not be proven: is it one of ours, what is stored tells. */
  lookAt({ owner, task }: RecordKey): void {
    this.#trackers.get(taskPath(owner, task))?.lookSoon();
  }

  /** Somebody claimed a task of this owner. */
  onClaim(message: Incoming): void {
    const claim = this.#d.records.claimOf(message);
    if (claim === undefined) return;
    this.#trackers.get(taskPath(claim.owner, claim.task))?.claimed(claim);
  }

  onProgress(from: Address, progress: Progress): void {
    this.#trackers.get(taskPath(progress.owner, progress.task))?.onProgress(from, progress);
  }

  onLiveOutcome(path: string, outcome: Outcome): void {
    this.#trackers.get(path)?.end(outcome);
  }

  async #cancel(
    { owner, task }: Pick<Spec, "owner" | "task">,
    tracker: Tracker,
    reason: string,
  ): Promise<void> {
    await cancelTask(this.#d.records, this.#d.clock, {
      owner,
      task,
      reason,
      agent: this.#o.agent,
      signer: this.#o.signer,
      look: () => this.look(owner, task).catch(() => undefined),
      get rev() {
        return tracker.rev;
      },
      get head() {
        return tracker.head;
      },
    });
  }

  /**
   * The records of an own task, as any initiator shows them, proven here.
   * @param rev as new as they must be; 1: none must be none by the word of the store's leader
   */
  async look(owner: string, task: string, rev = 0): Promise<(ReadRecord & { key: RecordKey })[]> {
    if (this.#o.mayRead) {
      const own = await this.#d.records.read(owner, task, rev).catch(() => undefined);
      if (own !== undefined) return own;
    }
    const subject = lookSubject(owner, task);
    return this.#d.records.look(owner, task, (question) =>
      this.#d.transport.request(subject, question, { timeoutMs: LOOK_TIMEOUT_MS }),
    );
  }

  /** After a reconnect, notices may have been missed: ask for every open task. */
  refresh(): void {
    this.#missed.forget();
    for (const tracker of this.#trackers.values()) tracker.lookSoon();
  }

  #mayBegin(): void {
    if (this.#stopped) throw new ParleyError("E_DRAINING", "this agent left the mesh: join again");
  }

  stop(): void {
    this.#stopped = true;
    this.#missed.forget();
    for (const tracker of this.#trackers.values()) {
      tracker.abandon(
        new ParleyError(
          "E_CONNECTION",
          tracker.isLive
            ? "this peer was stopped, and the call ended with it: call again"
            : `this peer was stopped; the task goes on: parley task get ${tracker.task}`,
        ),
      );
    }
    this.#trackers.clear();
  }
}

export type { TaskEvent, TaskState };
