// A small market in the simulator, with one agent or initiator that does not do what it should.
import { type Outcome, ParleyError } from "../../contracts/index.ts";
import type { HistoryEvent, Log } from "../../mesh/ports/index.ts";
import type { BidTerms } from "../../mesh/runtime/hosted-agent.ts";
import type { Peer } from "../../mesh/runtime/peer.ts";
import { type HostOptions, SILENT, VirtualHost } from "../../sim/virtual/hosts.ts";
import { VirtualPlace } from "./virtual-place.ts";

const HONEST = 8;
export const WORK_MS = 100;
const TASKS = 400;
const FALSE = "mal";
export const FALSE_SLOTS = 32;
export const HOUR_MS = 3_600_000;

/** It fails at once; the same, and says that no retry would help; does not listen to awards; or
 * means well, and has the wrong date. */
type Deceit = "fails" | "refuses" | "ignores" | "misdates";

interface Ill {
  deceit?: Deceit;
  /** How far the clock of one initiator is off, ms. */
  offMs?: number;
}

/** Two initiators, eight honest agents of one slot each, and perhaps one that is not. */
export class Market extends VirtualPlace {
  readonly hosts: VirtualHost[] = [];
  readonly awards: string[] = [];
  readonly warnings: string[] = [];
  readonly errors: string[] = [];
  readonly #deceit: Deceit | undefined;

  constructor({ deceit, offMs = 0 }: Ill = {}) {
    super("market");
    this.#deceit = deceit;
    this.#host({ name: "ina", role: "initiator" });
    this.#host({ name: "ivo", role: "initiator", clock: { offsetMs: offMs } });
    this.#host({ name: "sue", role: "submitter" });
    for (let i = 0; i < HONEST; i++) {
      this.#agent(`con${i}`, WORK_MS, async (host, signal) => {
        if (!(await host.sleep(WORK_MS, signal))) throw signal.reason;
      });
    }
    if (deceit === undefined) return;
    // The time that it claims is a fifth of everybody's, and that it never fails.
    this.#agent(
      FALSE,
      WORK_MS / 5,
      async () => {
        if (deceit === "refuses") throw new ParleyError("E_TERMINAL", "no key");
        throw new Error("no");
      },
      (peer) => {
        if (deceit === "ignores") peer.contractors.onAward = () => undefined;
      },
    );
  }

  #agent(
    name: string,
    durationMs: number,
    work: (host: VirtualHost, signal: AbortSignal) => Promise<void>,
    spoil: (peer: Peer) => void = () => undefined,
  ): void {
    const furnish = (peer: Peer, host: VirtualHost): void => {
      const run = async ({ signal }: { signal: AbortSignal }) => {
        await work(host, signal);
        return { output: null };
      };
      const capability = { name: "work", version: "1.0.0", durationMs };
      const lie = { bid: (_: unknown, usual: BidTerms) => ({ ...usual, confidence: 0.99 }) };
      peer.host({
        name: "w",
        slots: name === FALSE ? FALSE_SLOTS : 1,
        services: [{ capability, run, ...(name === FALSE && lie) }],
      });
      spoil(peer);
    };
    const clock = this.#deceit === "misdates" && name === FALSE ? { offsetMs: -HOUR_MS } : {};
    this.#host({ name, role: "contractor", capabilities: ["work"], furnish, clock });
  }

  #host(options: HostOptions): void {
    const history = (_: string, e: HistoryEvent): void => {
      if (e.op === "award" && e.to !== undefined) this.awards.push(e.to);
    };
    const log: Log = {
      ...SILENT,
      warn: (_about, text) => void this.warnings.push(text),
      error: (_about, text) => void this.errors.push(text),
    };
    this.hosts.push(new VirtualHost(this.world, this.broker, { ...options, history, log }));
  }

  /** All tasks at once, or one every so many ms. */
  async run(everyMs: number): Promise<{ outcomes: Outcome[]; tookMs: number; share: number }> {
    for (const host of this.hosts) await this.settle(host.start());
    const agents = this.hosts.filter(({ options }) => options.role === "contractor").length;
    const knows = ({ peer }: VirtualHost) => peer?.registry.capabilities().get("work") === agents;
    await this.until(() => this.hosts.slice(0, 2).every(knows));
    const beganAt = this.world.now;
    const sue = (this.hosts[2] as VirtualHost).peer as Peer;
    const outcomes = await this.played(sue, TASKS, everyMs);
    const later = this.awards.slice(20);
    const share = later.filter((to) => to === `${FALSE}.w`).length / later.length;
    return { outcomes, tookMs: this.world.now - beganAt, share };
  }
}
