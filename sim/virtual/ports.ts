// The ports of one simulated process. Above the wire they are the real adapters (mesh/nats).
import type { Role } from "../../contracts/index.ts";
import { NatsArtefacts } from "../../mesh/nats/artefacts.ts";
import { NatsCards } from "../../mesh/nats/cards.ts";
import { NatsLedger } from "../../mesh/nats/ledger.ts";
import { NatsSupervision } from "../../mesh/nats/supervision.ts";
import { secretBytes, VirtualRandom } from "./random.ts";
import { type Place, VirtualTransport } from "./transport.ts";

export interface Credentials {
  /** The principal. */
  name: string;
  role: Role;
  capabilities?: readonly string[];
  /** Public key, as the server's notices show it; the name when absent. */
  user?: string;
}

export interface VirtualPorts {
  transport: VirtualTransport;
  ledger: NatsLedger;
  supervision: NatsSupervision;
  cards: NatsCards;
  artefacts: NatsArtefacts;
  random: VirtualRandom;
}

/** Connects. @throws ParleyError E_CONNECTION when the broker is away */
export function openPorts(place: Place, who: Credentials): VirtualPorts {
  const { prng, clock } = place;
  const { name, role, capabilities = [], user = name } = who;
  const transport = new VirtualTransport(
    { ...place, prng: prng.fork("transport") },
    { name, role, capabilities, user },
  );
  const random = new VirtualRandom(prng.fork("random"));
  const mayRead = role === "initiator" || role === "agent" || role === "admin";
  return {
    transport,
    random,
    ledger: new NatsLedger(transport, clock, name, mayRead),
    supervision: new NatsSupervision(transport, clock, name),
    cards: new NatsCards(transport, clock, name),
    artefacts: new NatsArtefacts(transport, random, secretBytes(prng.fork("secrets"))),
  };
}
