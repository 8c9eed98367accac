// A village of real peers on a simulated broker: initiators, a submitter, two contractors.
import { parseRecordSubject, TASKS_STREAM, taskGuard } from "../../contracts/index.ts";
import type { HistoryEvent } from "../../mesh/ports/index.ts";
import type { Tracker } from "../../mesh/runtime/tracker.ts";
import { type HostOptions, VirtualHost } from "../../sim/virtual/hosts.ts";
import { keyOf, VirtualTrust } from "../../sim/virtual/trust.ts";
import { VirtualPlace } from "./virtual-place.ts";

/** What a task takes, ms. */
export const WORK_MS = 8_000;

export class Village extends VirtualPlace {
  readonly trust = new VirtualTrust();
  readonly events: (HistoryEvent & { at: number; by: string })[] = [];
  readonly hosts = new Map<string, VirtualHost>();

  constructor(initiators = ["ina"]) {
    super("village");
    for (const name of initiators) this.#host(name, "initiator");
    this.#host("sue", "submitter");
    for (const name of ["con", "dan"]) {
      this.#host(name, "contractor", {
        capabilities: ["work"],
        furnish: (peer, host) => {
          const run = async ({ signal }: { signal: AbortSignal }) => {
            if (!(await host.sleep(WORK_MS, signal))) throw signal.reason;
            return { output: name };
          };
          const capability = { name: "work", version: "1.0.0" };
          peer.host({ name: "w", slots: 1, services: [{ capability, run }] });
        },
      });
    }
  }

  #host(name: string, role: HostOptions["role"], more: Partial<HostOptions> = {}): void {
    const signer = keyOf("village", name);
    this.trust.add(name, signer.publicKey, role, more.capabilities ?? []);
    const host = new VirtualHost(this.world, this.broker, {
      name,
      role,
      signer,
      trust: this.trust,
      history: (by, event) => void this.events.push({ ...event, at: this.world.now, by }),
      ...more,
    });
    this.hosts.set(name, host);
  }

  host(name: string): VirtualHost {
    return this.hosts.get(name) as VirtualHost;
  }

  async open(): Promise<this> {
    for (const host of this.hosts.values()) await this.settle(host.start());
    await this.until(() => this.#known() === 2);
    return this;
  }

  #known(): number {
    const counts = [...this.hosts.values()]
      .filter(({ options, alive }) => options.role === "initiator" && alive)
      .map(({ peer }) => peer?.registry.capabilities().get("work") ?? 0);
    return Math.min(...counts);
  }

  /** Submits a task and waits until somebody works on it. */
  async begin(): Promise<{ task: Tracker; by: string }> {
    const { submitters } = this.host("sue").peer as NonNullable<VirtualHost["peer"]>;
    const task = await this.settle(submitters.submit("work", { n: 1 }, {}));
    await this.until(() => this.of("start").length === 1);
    return { task, by: this.of("start")[0]?.who?.split(".")[0] ?? "" };
  }

  of(op: string): (HistoryEvent & { at: number; by: string })[] {
    return this.events.filter((e) => e.op === op && (e.k === "obs" || e.k === "ok"));
  }

  kinds(task: Tracker): string[] {
    const found = this.broker.store.stream(TASKS_STREAM).find(taskGuard(task.owner, task.task));
    return found.map(({ subject }) => parseRecordSubject(subject)?.kind ?? "?");
  }
}
