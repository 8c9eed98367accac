// What does the server say to this client? Asked on the wire, with the plain library.
import {
  headers,
  type NatsConnection,
  PermissionViolationError,
  RequestError,
} from "@nats-io/transport-node";

export type Verdict = "permitted" | "refused";

/**
 * Publishes as a request: a refusal comes back at once, and "nobody is listening" means that the
 * server let it pass.
 */
export async function publishVerdict(
  nc: NatsConnection,
  subject: string,
  body: string | Uint8Array = "{}",
): Promise<Verdict> {
  try {
    await nc.request(subject, body, { timeout: 5_000 });
    return "permitted";
  } catch (error) {
    if ((error as Error).cause instanceof PermissionViolationError) return "refused";
    if (error instanceof RequestError && error.isNoResponders()) return "permitted";
    throw error;
  }
}

/** Subscribes, waits until the server has answered, and takes the subscription back. */
export async function subscribeVerdict(nc: NatsConnection, subject: string): Promise<Verdict> {
  let verdict: Verdict = "permitted";
  const sub = nc.subscribe(subject, {
    callback: (error) => {
      if (error instanceof PermissionViolationError) verdict = "refused";
    },
  });
  await nc.flush();
  sub.unsubscribe();
  return verdict;
}

/** Publishes with headers and gives JetStream's answer. */
export async function store(
  nc: NatsConnection,
  subject: string,
  body: string,
  head: Record<string, string> = {},
): Promise<{ seq?: number; error?: { err_code: number } }> {
  const hdrs = headers();
  for (const [name, value] of Object.entries(head)) hdrs.set(name, value);
  return (await nc.request(subject, body, { headers: hdrs, timeout: 5_000 })).json();
}
