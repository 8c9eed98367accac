// The server's own word that a connection ended: milliseconds after a crash. It only makes
// initiators ask sooner; a contract is given up by what the contractor (or nobody) answers.
import { z } from "zod";
import type { Address } from "../../contracts/index.ts";
import type { Incoming } from "../ports/index.ts";
import type { Deps } from "./dependencies.ts";

/** What matters of the server's advisory (`io.nats.server.advisory.v1.client_disconnect`). */
const DisconnectSchema = z.object({
  client: z.object({ user: z.string() }),
  reason: z.string(),
});
const LIMITS = { bytesMax: 64 * 1024, depthMax: 16, keysMax: 1_000 };

/** Whoever only reconnects (a flap, new credentials) is back within this, ms: the first attempt
 * after a long connection starts at once. */
const RETURN_MS = 120;

/** @param lost the agents behind the connection, if they have not come back */
export function onDisconnect(
  { inbound, registry, clock }: Pick<Deps, "inbound" | "registry" | "clock">,
  message: Incoming,
  lost: (agents: ReadonlySet<Address>) => void,
): void {
  const event = inbound.parse("disconnect", DisconnectSchema, message.data, LIMITS);
  if (event === undefined) return;
  // A server that stops says so of everybody; they all come back. A process that was killed shows
  // as closed or as a failed read or write, as its last bytes had it.
  if (event.reason === "Server Shutdown") return;
  const agents = registry.behind(event.client.user);
  if (agents.size > 0) clock.after(RETURN_MS, () => lost(agents));
}
