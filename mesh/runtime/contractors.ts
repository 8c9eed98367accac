// The desk of participants and contractors: answers calls, checks awards, claims, runs, reports.
//
// Invariants
//   C1  A handler of a durable task starts only after its contract record is stored.
//   C2  An outcome is written under the revision of the own contract, so a contractor that was
//       replaced cannot commit (S4, S5).
//   C3  Every taken slot is released exactly once.
import {
  type Address,
  BEAT_MS,
  bidSubject,
  CLOCK_SKEW_MS,
  directedSubject,
  type Failure,
  type FailureRecord,
  failure as failureOf,
  NONCES_MAX,
  type Outcome,
  ParleyError,
  parseDirected,
  type RefusalReason,
  taskPath,
} from "../../contracts/index.ts";
import { ReplayWindow } from "../core/replay-window.ts";
import type { Artefacts, Incoming, Signer } from "../ports/index.ts";
import { encodeContent, neededMs, openArtefact } from "./artefact.ts";
import { watchLimit } from "./attempt-limit.ts";
import { base64url, isMisdated, type OpenAward, openAward, proveAward } from "./awards.ts";
import { sendBeats } from "./beats.ts";
import { encodeMsgpack } from "./codec/codec.ts";
import { detached } from "./codec/detached.ts";
import { msgpackBytes } from "./codec/encode-own.ts";
import { ContractNotices } from "./contract-notices.ts";
import type { Deps } from "./dependencies.ts";
import { drained } from "./draining.ts";
import { type AgentDefinition, HostedAgent, type RunResult } from "./hosted-agent.ts";
import { Journal } from "./journal.ts";
import { Participants } from "./participants.ts";
import { asFailure, completedOf, contractOf, outcomeBytes, stackOf } from "./results.ts";
import { isLeaving, type Running } from "./running.ts";

export class Contractors {
  readonly #d: Deps;
  readonly #principal: string;
  readonly #artefacts: Artefacts;
  readonly agents = new Map<string, HostedAgent>();
  #running = new Map<string, Running>();
  readonly notices: ContractNotices;
  #nonces = new ReplayWindow(2 * CLOCK_SKEW_MS, NONCES_MAX);
  readonly #participants: Participants;
  #beat: { cancel(): void } | undefined;
  #idleWaiters: (() => void)[] = [];
  #lagMs = 0;
  #cutSince = Number.POSITIVE_INFINITY;

  constructor(dependencies: Deps, principal: string, artefacts: Artefacts) {
    this.#d = dependencies;
    this.#principal = principal;
    this.#artefacts = artefacts;
    this.#participants = new Participants(dependencies, this.agents);
    this.notices = new ContractNotices(dependencies, this.#running, (run, op, note) =>
      this.#note(run, op, note),
    );
  }

  start(): void {
    this.#d.transport.onState((state) => {
      const cut = state !== "up";
      this.#cutSince = cut ? this.#d.clock.now() : Number.POSITIVE_INFINITY;
    });
    let due = this.#d.clock.now() + BEAT_MS;
    const turn = () => {
      this.#lagMs = Math.max(0, this.#d.clock.now() - due);
      this.#fenceOff();
      sendBeats(this.#d, this.#running.values(), this.#lagMs);
      due = this.#d.clock.now() + BEAT_MS;
      this.#beat = this.#d.clock.after(BEAT_MS, turn);
    };
    this.#beat = this.#d.clock.after(BEAT_MS, turn);
  }

  host(definition: AgentDefinition, signer: Signer | undefined): HostedAgent {
    const agent = new HostedAgent(
      this.#d,
      this.#principal,
      definition,
      signer,
      (a, capability, rung, m) => this.#participants.onCall(a, capability, rung, m),
    );
    this.agents.set(definition.name, agent);
    return agent;
  }

  get running(): number {
    return this.#running.size;
  }

  /** Stops taking work; resolves when what runs has ended, or after `graceMs`. */
  drain(graceMs: number): Promise<void> {
    for (const agent of this.agents.values()) agent.leave();
    return drained(this.#d.clock, this.#running, graceMs, {
      whenIdle: (wake) => this.#idleWaiters.push(wake),
      settle: (run, failure) => this.#settle(run, failure),
    });
  }

  /**
   * Cut off for a whole lease: the mesh has given the work to others, so effects must stop here.
   * What a handler still brings home is offered to the store, whose fence decides.
   */
  #fenceOff(): void {
    const cutMs = this.#d.clock.now() - this.#cutSince;
    if (cutMs <= 0) return;
    for (const run of this.#running.values()) {
      if (run.award.terms.leaseMs > cutMs || run.abort.signal.aborted) continue;
      this.#note(run, "fenced", "by itself");
      run.abort.abort(new ParleyError("E_LOST", "the server was away longer than the lease"));
    }
  }

  stop(): void {
    this.#beat?.cancel();
    for (const run of this.#running.values()) {
      run.over = true;
      run.abort.abort(new ParleyError("E_DRAINING"));
    }
    this.#running.clear();
  }

  onOffer(message: Incoming): void {
    this.#participants.onOffer(message);
  }

  // ---- awards ---------------------------------------------------------------------------------

  onAward(message: Incoming): void {
    if (this.#d.inbound.forgedPath("award", message)) return;
    const subject = parseDirected("award", message.subject);
    if (subject === undefined) return void this.#d.inbound.reject("award", "E_KIND");
    const agent = this.agents.get(subject.toAgent);
    if (agent === undefined) return void this.#d.inbound.reject("award", "E_NOT_FOUND");
    const from = `${subject.fromPrincipal}.${subject.fromAgent}`;
    const opened = openAward(message.data, from, agent.address);
    if (typeof opened === "string") return void this.#d.inbound.reject("award", opened);
    const misdated = isMisdated(opened, this.#d.clock.wall());
    if (!misdated && !this.#nonces.admit(detached(opened.terms.nonce), this.#d.clock.now())) {
      return void this.#d.inbound.reject("award", "E_REPLAY");
    }
    const { identities } = this.#d;
    const take = () => {
      if (misdated) return this.#misdated(agent, opened);
      agent.ahead.awarded();
      this.#take(agent, opened);
    };
    if (!identities.on) return take();
    identities.resolve(subject.fromPrincipal, subject.fromAgent, (key) => {
      const fault = key === undefined ? "E_IDENTITY" : proveAward(opened, key, identities);
      if (fault !== undefined) return void this.#d.inbound.reject("award", fault);
      take();
    });
  }

  /** It would be the same with the next: the initiator must know, and so must a person. */
  #misdated(agent: HostedAgent, award: OpenAward): void {
    this.#d.inbound.reject("award", "E_STALE");
    this.#refuse(agent, award, "clock");
    this.#d.clocks.refused(award.terms.initiator);
  }

  #refuse(agent: HostedAgent, award: Running["award"], reason: RefusalReason): void {
    this.#d.counters.add(`award.refused.${reason}`);
    const { refusals } = agent.tally(award.terms.capability);
    refusals[reason] = (refusals[reason] ?? 0) + 1;
    this.#d.transport.publish(
      bidSubject(award.terms.initiator, award.terms.cfp, agent.address),
      msgpackBytes({ v: 1, kind: "refusal", reason, award: true }),
    );
  }

  #take(agent: HostedAgent, award: OpenAward): void {
    const { terms, spec } = award;
    if (agent.service(terms.capability) === undefined) {
      return this.#refuse(agent, award, "ineligible");
    }
    if (this.#running.has(taskPath(terms.owner, terms.task)))
      return this.#refuse(agent, award, "stale");
    const full = !agent.draining && agent.free(terms.capability) <= 0;
    if (full && this.#hold(agent, award)) return;
    if (!agent.withinRate(terms.capability, terms.owner, true)) {
      return this.#refuse(agent, award, "rate");
    }
    if (!agent.take(terms.capability)) {
      return this.#refuse(agent, award, agent.draining ? "draining" : "busy");
    }
    const run: Running = {
      agent,
      award: { terms, spec },
      rev: 0,
      head: "",
      abort: new AbortController(),
      startedAt: this.#d.clock.now(),
      startedWall: Math.round(this.#d.clock.wall()),
      alive: [terms.owner, terms.task, terms.epoch, agent.name],
      beatTo: [terms.initiator],
      progress: 0,
      journal: undefined,
      over: false,
      embedded: {
        terms: base64url(award.termsBytes),
        sig: base64url(award.signature),
      },
    };
    this.#running.set(taskPath(terms.owner, terms.task), run);
    if (terms.live) return this.#start(run);
    this.#claim(run, award.bids);
  }

  /** For a slot that is about to be free. */
  #hold(agent: HostedAgent, award: OpenAward): boolean {
    return agent.ahead.hold({
      capability: award.terms.capability,
      claim: () => this.#take(agent, award),
      refuse: (reason) => this.#refuse(agent, award, reason),
    });
  }

  #claim(run: Running, bids: Uint8Array): void {
    const { terms } = run.award;
    const contract = contractOf(run, bids);
    this.#write(run, "contract", terms.initiator, contract, terms.rev, (result, head) => {
      if (result.ok) {
        run.rev = result.rev;
        run.head = head();
        return this.#start(run);
      }
      this.#d.counters.add(`claim.${result.fault}`);
      this.#finish(run);
      this.#refuse(run.agent, run.award, result.fault === "conflict" ? "stale" : "unverified");
    });
  }

  #write(
    run: Running,
    kind: "contract" | "checkpoint" | "outcome" | "failure",
    to: Address,
    value: object | Uint8Array,
    fence: number,
    done: Parameters<Deps["records"]["write"]>[4],
    n = String(run.award.terms.epoch),
  ): void {
    const { terms } = run.award;
    const [toPrincipal, toAgent] = to.split(".") as [string, string];
    this.#d.records.write(
      {
        owner: terms.owner,
        task: terms.task,
        kind,
        n,
        toPrincipal,
        toAgent,
        fromPrincipal: this.#principal,
        fromAgent: run.agent.name,
      },
      value,
      fence,
      run.agent.signer,
      done,
    );
  }

  // ---- running --------------------------------------------------------------------------------

  #start(run: Running): void {
    if (run.over) return this.#finish(run);
    run.startedAt = this.#d.clock.now();
    run.startedWall = Math.round(this.#d.clock.wall());
    const { spec, terms } = run.award;
    run.agent.began(terms.capability, terms);
    this.#note(run, "start");
    const foretoldMs = run.agent.foretell(spec);
    if (foretoldMs !== undefined)
      run.agent.ahead.begins(run, terms.capability, foretoldMs, spec.rank);
    if (spec.inputRef === undefined) return this.#work(run, spec.input);
    this.#artefacts
      .get(spec.inputRef)
      .then(openArtefact)
      .then(
        (input) => this.#work(run, input),
        (error: unknown) =>
          this.#fail(run, failureOf("E_ARTEFACT", `the input could not be read: ${error}`)),
      );
  }

  #work(run: Running, input: unknown): void {
    if (run.over) return this.#finish(run);
    const { spec, terms } = run.award;
    const service = run.agent.service(terms.capability);
    if (service === undefined) return this.#fail(run, failureOf("E_DRAINING"));
    if (!terms.live) run.journal = this.#journal(run);
    const ended = watchLimit(this.#d, run, service.limitMs, async (late) => {
      await run.journal?.settled(true);
      this.#settle(run, late);
    });
    service
      .run({
        spec,
        input,
        epoch: terms.epoch,
        attempt: terms.attempt,
        submitter: terms.submitter,
        price: terms.bid?.cost,
        signal: run.abort.signal,
        live: terms.live,
        journal: run.journal,
        progress: (report) => this.#progress(run, report),
      })
      .then(
        async (result) => {
          ended();
          await run.journal?.settled();
          if (run.abandoned) run.agent.release(run, terms.capability);
          else this.#deliver(run, result);
        },
        async (error: unknown) => {
          ended();
          await run.journal?.settled();
          if (run.abandoned) return run.agent.release(run, terms.capability);
          // Where in the author's code it was; the record says only what.
          const stack = run.abort.signal.aborted ? undefined : stackOf(error);
          if (stack !== undefined) {
            const about = { task: terms.task, capability: terms.capability, error: stack };
            this.#d.log.warn(about, "a handler threw");
          }
          this.#fail(run, run.late ?? asFailure(error));
        },
      );
  }

  #journal(run: Running): Journal {
    const { owner, task } = run.award.terms;
    return new Journal(run, this.#artefacts, {
      write: (n, body, done) =>
        this.#write(run, "checkpoint", run.agent.address, body, run.rev, done, n),
      records: () => this.#d.records.read(owner, task, run.rev),
      mayRead: this.#d.ledger.mayRead,
      now: () => Math.round(this.#d.clock.wall()),
    });
  }

  #progress(run: Running, report: { done?: number; note?: string; partial?: unknown }): void {
    if (run.over) return;
    const { terms } = run.award;
    this.#d.transport.publish(
      directedSubject("msg", terms.submitter, run.agent.address),
      encodeMsgpack({
        v: 1,
        kind: "progress",
        owner: terms.owner,
        task: terms.task,
        epoch: terms.epoch,
        n: run.progress++,
        ...report,
      }),
    );
  }

  #deliver(run: Running, result: RunResult): void {
    const worked = this.#d.clock.now() - run.startedAt;
    run.agent.learn(run.award.spec, worked);
    run.agent.release(run, run.award.terms.capability, worked);
    const outcome = completedOf(run, Math.round(this.#d.clock.wall()));
    if (result.cost !== undefined) outcome.cost = result.cost;
    if (result.output === undefined) return this.#commit(run, outcome, undefined, worked);
    let content: ReturnType<typeof encodeContent>;
    try {
      content = encodeContent(result.output);
    } catch (error) {
      return this.#settle(run, failureOf("E_OUTPUT", `the result is not JSON: ${String(error)}`));
    }
    if (content.inline) return this.#commit(run, outcome, content.bytes, worked);
    this.#artefacts.put(content.bytes, neededMs(run.award.spec, this.#d.clock.wall())).then(
      (ref) => {
        outcome.outputRef = ref;
        this.#commit(run, outcome, undefined, worked);
      },
      (error: unknown) =>
        this.#settle(run, failureOf("E_ARTEFACT", `the result could not be stored: ${error}`)),
    );
  }

  #commit(run: Running, outcome: Outcome, output: Uint8Array | undefined, workedMs: number): void {
    const { terms } = run.award;
    if (run.over) return this.#forget(run);
    if (terms.live) {
      this.#forget(run);
      return this.#tell(run, { kind: "live", outcome: outcomeBytes(outcome, output), workedMs });
    }
    outcome.award = run.embedded;
    const body = outcomeBytes(outcome, output);
    this.#write(run, "outcome", terms.submitter, body, run.rev, (result) => {
      this.#forget(run);
      if (!result.ok) {
        this.#refused(run, result.fault);
        return;
      }
      const done = { kind: "done", rev: result.rev, state: outcome.state, workedMs } as const;
      // Whoever asked after this contract may have adopted it.
      for (const to of run.beatTo) this.#tell(run, done, to);
    });
  }

  /** A message to an initiator about this contract. */
  #tell(
    run: Running,
    about: { kind: "live" | "done"; [field: string]: unknown },
    to: Address = run.award.terms.initiator,
  ): void {
    const { owner, task, epoch } = run.award.terms;
    this.#d.transport.publish(
      directedSubject("msg", to, run.agent.address),
      msgpackBytes({ v: 1, owner, task, epoch, ...about }),
    );
  }

  #fail(run: Running, failure: Failure): void {
    run.agent.release(run, run.award.terms.capability);
    this.#settle(run, failure);
  }

  /** The attempt failed: the initiator decides whether there is another. */
  #settle(run: Running, failure: Failure): void {
    const { terms } = run.award;
    run.agent.failed(terms.capability, failure, run.over || isLeaving(run));
    if (run.over) return this.#forget(run);
    const leaving = isLeaving(run) ? { leaving: true } : {};
    if (terms.live) {
      this.#forget(run);
      return this.#tell(run, { kind: "live", failure, ...leaving });
    }
    const record: FailureRecord = {
      v: 1,
      kind: "failure",
      task: terms.task,
      epoch: terms.epoch,
      attempt: terms.attempt,
      failure,
      ...leaving,
      startedAt: run.startedWall,
      endedAt: Math.round(this.#d.clock.wall()),
      prev: run.head,
    };
    this.#write(run, "failure", terms.initiator, record, run.rev, (result) => {
      this.#forget(run);
      if (!result.ok) this.#refused(run, result.fault);
    });
  }

  /** The store's own word that this contractor was replaced: the fence held (S5). */
  #refused(run: Running, fault: string): void {
    this.#d.counters.add(`commit.${fault}`);
    if (fault === "conflict") this.#note(run, "fenced", "by the store");
  }

  #note(run: Running, op: string, note?: string): void {
    const { terms } = run.award;
    if (terms.live || this.#d.history === undefined) return;
    const task = taskPath(terms.owner, terms.task);
    const about = { task, e: terms.epoch, who: run.agent.address, rev: run.rev };
    this.#d.history.note({ k: "obs", op, ...about, ...(note === undefined ? {} : { note }) });
  }

  /** Ends a run that never started: slot back, nothing written. */
  #finish(run: Running): void {
    run.agent.release(run, run.award.terms.capability);
    this.#forget(run);
  }

  #forget(run: Running): void {
    if (run.rev > 0) this.#note(run, "stop");
    run.over = true;
    const { owner, task } = run.award.terms;
    const path = taskPath(owner, task);
    if (this.#running.get(path) === run) this.#running.delete(path);
    if (this.#running.size === 0) {
      for (const wake of this.#idleWaiters.splice(0)) wake();
    }
  }
}
