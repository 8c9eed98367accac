// Every agent answers as a NATS micro service (ADR-32), so that `nats micro ls|info|stats|ping`
// show the mesh. Own responder, since one connection may host hundreds of agents.
import type { Incoming, Subscription } from "../ports/index.ts";
import { encodeJson } from "./codec/codec.ts";
import type { Contractors } from "./contractors.ts";
import type { Deps } from "./dependencies.ts";
import type { HostedAgent } from "./hosted-agent.ts";

const VERBS = ["PING", "INFO", "STATS"] as const;
type Verb = (typeof VERBS)[number];

export interface MicroOptions {
  version: string;
  startedAt: Date;
}

export class Micro {
  readonly #d: Deps;
  readonly #contractors: Contractors;
  readonly #o: MicroOptions;
  #subs: Subscription[] = [];

  constructor(dependencies: Deps, contractors: Contractors, options: MicroOptions) {
    this.#d = dependencies;
    this.#contractors = contractors;
    this.#o = options;
  }

  open(): void {
    for (const verb of VERBS) {
      const serve = (m: Incoming) => this.#serve(verb, m);
      this.#subs.push(this.#d.transport.subscribe(`$SRV.${verb}`, serve));
      this.#subs.push(this.#d.transport.subscribe(`$SRV.${verb}.>`, serve));
    }
  }

  close(): void {
    for (const sub of this.#subs) sub.unsubscribe();
    this.#subs = [];
  }

  /** `$SRV.<verb>`, `$SRV.<verb>.<name>`, `$SRV.<verb>.<name>.<id>`. */
  #serve(verb: Verb, message: Incoming): void {
    const reply = this.#d.inbound.replyTo("micro", message);
    if (reply === undefined) return;
    const [, , name, id] = message.subject.split(".");
    for (const agent of this.#contractors.agents.values()) {
      if (name !== undefined && name !== agent.name) continue;
      if (id !== undefined && id !== serviceId(agent)) continue;
      this.#d.transport.publish(reply, encodeJson(this.#answer(verb, agent)));
    }
  }

  #answer(verb: Verb, agent: HostedAgent): object {
    const base = {
      name: agent.name,
      id: serviceId(agent),
      version: this.#o.version,
      metadata: {
        address: agent.address,
        capabilities: agent
          .capabilities()
          .map((c) => `${c.name}@${c.version}`)
          .join(","),
        slots: String(agent.slots.total),
        busy: String(agent.slots.used),
      },
    };
    switch (verb) {
      case "PING":
        return { type: "io.nats.micro.v1.ping_response", ...base };
      case "INFO":
        return {
          type: "io.nats.micro.v1.info_response",
          ...base,
          description: agent.definition.description ?? "a Parley agent",
          endpoints: agent.capabilities().map((c) => ({
            name: c.name,
            subject: `mesh.cfp.${c.name}.all.*.*`,
            queue_group: "",
            metadata: { version: c.version },
          })),
        };
      case "STATS":
        return {
          type: "io.nats.micro.v1.stats_response",
          ...base,
          started: this.#o.startedAt.toISOString(),
          endpoints: agent.capabilities().map((c) => this.#stats(agent, c.name)),
        };
    }
  }

  #stats(agent: HostedAgent, capability: string): object {
    const { contracts, failures, workedMs, lastError, calls, bids, refusals } =
      agent.tally(capability);
    const nanoseconds = Math.round(workedMs * 1e6);
    return {
      name: capability,
      subject: `mesh.cfp.${capability}.all.*.*`,
      queue_group: "",
      num_requests: contracts,
      num_errors: failures,
      last_error: lastError,
      processing_time: nanoseconds,
      average_processing_time: contracts > 0 ? Math.round(nanoseconds / contracts) : 0,
      data: {
        calls,
        bids,
        refusals,
        slots: agent.slots.total,
        busy: agent.busy(capability),
      },
    };
  }
}

/** Service ids carry no dots. */
function serviceId(agent: HostedAgent): string {
  return agent.address.replace(".", "-");
}
