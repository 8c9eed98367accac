// Streams, buckets and consumers on a server that others started.
import type { Inspector } from "../../mesh/inspector.ts";
import { CliError } from "./errors.ts";
import type { Target } from "./target.ts";

export interface Wanted {
  /** Copies of everything; undefined: as many as there are, else 1. */
  replicas?: number;
  audit: boolean;
}

/**
 * Makes what is absent and checks what is there.
 * @throws CliError E_PERMISSION for anybody but an admin
 * @throws ParleyError E_STORE where something is there with other settings
 */
export async function provisionOn(
  mesh: Inspector,
  target: Target,
  wanted: Wanted,
  say: (line: string) => void,
): Promise<void> {
  if (target.role !== undefined && target.role !== "admin") {
    throw new CliError(
      "E_PERMISSION",
      `streams are made by an admin; these credentials are of ${target.principal}, ` +
        `with the role ${target.role}`,
      { next: "--creds .../operator.creds, or: parley identity add NAME --role admin" },
    );
  }
  const { connection } = mesh.transport;
  const { copiesThere, provision } = await import("../../mesh/nats/provision.ts");
  const there = wanted.replicas ?? (await copiesThere(connection));
  if (there === undefined && connection.info?.cluster !== undefined) {
    say("one copy of everything, though this server has a cluster: see --replicas");
  }
  await provision(connection, { audit: wanted.audit, replicas: there ?? 1, say });
}
