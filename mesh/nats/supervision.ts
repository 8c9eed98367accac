// The supervision port on JetStream: specs through one durable pull consumer per urgency class.
// Whoever pulls a spec is its initiator until he acknowledges it or falls silent for `ack_wait`.
import {
  parseRecordSubject,
  supervisionConsumer,
  TASKS_STREAM,
  URGENCY,
} from "../../contracts/index.ts";
import type {
  Clock,
  Incoming,
  Receipt,
  SpecDelivery,
  Subscription,
  Supervision,
} from "../ports/index.ts";
import type { Link } from "./link.ts";

/** Specs asked for at a time and class. */
const BATCH = 64;
/** A pull lives this long at the server, ms. */
const EXPIRES_MS = 10_000;
/** While there is nothing to hand out the server gives a sign of life so often, ms. Without any for
 * so long, ms, the consumer has another leader, who knows nothing of the pull: it is repeated. */
const BEAT_MS = 1_000;
const SILENT_MS = 2_500;

/** Between two looks at what is asked for, ms. */
const TURN_MS = 500;

const ACK = new TextEncoder().encode("+ACK");
const WORKING = new TextEncoder().encode("+WPI");

/** A turn that comes later than this was held up by this process itself: it heard nobody, ms. */
const LATE_MS = 100;
/** What was on its way to an inbox that is given up still arrives, ms. */
const LINGER_MS = 100;

/** What is asked for in one class. The server knows a pull by its inbox and keeps it for as long as
 * somebody listens there, over a reconnect too: pulls that are made anew have a new one, or the old
 * ones would be served as well, beyond the room there is. */
interface Pull {
  urgency: (typeof URGENCY)[number];
  inbox: string;
  sub: Subscription;
  outstanding: number;
  /** Last pulled, or heard of. */
  heardAt: number;
}

export class NatsSupervision implements Supervision {
  readonly #transport: Link;
  readonly #clock: Clock;
  readonly #inbox: string;
  #inboxes = 0;
  #pulls: Pull[] = [];
  #handler: ((spec: SpecDelivery) => void) | undefined;
  #room: (urgency: 0 | 1 | 2) => number = () => 0;
  #tick: { cancel(): void } | undefined;

  constructor(transport: Link, clock: Clock, principal?: string) {
    this.#transport = transport;
    this.#clock = clock;
    this.#inbox = transport.inbox(principal);
  }

  async start(
    handler: (spec: SpecDelivery) => void,
    room: (urgency: 0 | 1 | 2) => number,
  ): Promise<void> {
    this.#handler = handler;
    this.#room = room;
    this.#pulls = URGENCY.map((urgency) => this.#open(urgency));
    this.#transport.onState((state) => {
      if (state !== "up") return;
      // Nothing of the connection before is on its way any more.
      for (const { sub } of this.#pulls) sub.unsubscribe();
      this.#pulls = this.#pulls.map(({ urgency }) => this.#open(urgency));
      this.#fill();
    });
    this.#fill();
    this.#turn();
  }

  #turn(): void {
    const dueAt = this.#clock.now() + TURN_MS;
    this.#tick = this.#clock.after(TURN_MS, () => {
      const lateMs = this.#clock.now() - dueAt;
      if (lateMs > LATE_MS) for (const pull of this.#pulls) pull.heardAt += lateMs;
      this.#fill();
      this.#turn();
    });
  }

  #open(urgency: Pull["urgency"]): Pull {
    const inbox = `${this.#inbox}.${urgency}.${(this.#inboxes++).toString(36)}`;
    const sub = this.#transport.subscribe(inbox, (m) => this.#onMessage(pull, m));
    const pull: Pull = { urgency, inbox, sub, outstanding: 0, heardAt: 0 };
    return pull;
  }

  /** Asks from the start; what is on its way still comes. */
  #anew({ urgency, sub }: Pull): Pull {
    this.#clock.after(LINGER_MS, () => sub.unsubscribe());
    return this.#open(urgency);
  }

  async stop(): Promise<void> {
    this.#tick?.cancel();
    this.#handler = undefined;
    // Deliveries still on their way are handed back at once, so keep listening for a moment.
    for (const { sub } of this.#pulls) this.#clock.after(LINGER_MS, () => sub.unsubscribe());
    this.#pulls = [];
  }

  #fill(): void {
    if (this.#handler === undefined) return;
    this.#pulls = this.#pulls.map((pull) => {
      const silentMs = this.#clock.now() - pull.heardAt;
      const now = pull.outstanding > 0 && silentMs > SILENT_MS ? this.#anew(pull) : pull;
      if (now.outstanding <= BATCH / 2) this.#pull(now);
      return now;
    });
  }

  #pull(pull: Pull): void {
    const batch = Math.min(BATCH, this.#room(pull.urgency)) - pull.outstanding;
    if (batch <= 0) return;
    pull.outstanding += batch;
    pull.heardAt = this.#clock.now();
    const times = { expires: EXPIRES_MS * 1e6, idle_heartbeat: BEAT_MS * 1e6 };
    const body = JSON.stringify({ batch, ...times });
    this.#transport.publish(
      `$JS.API.CONSUMER.MSG.NEXT.${TASKS_STREAM}.${supervisionConsumer(pull.urgency)}`,
      Buffer.from(body),
      { reply: pull.inbox },
    );
  }

  #onMessage(pull: Pull, m: Incoming): void {
    const ackSubject = m.reply;
    pull.heardAt = this.#clock.now();
    if (ackSubject === undefined || !ackSubject.startsWith("$JS.ACK.")) {
      return this.#onStatus(pull, m);
    }
    pull.outstanding = Math.max(0, pull.outstanding - 1);
    if (this.#handler === undefined) {
      this.#transport.publish(ackSubject, Buffer.from('-NAK {"delay":0}'));
      return;
    }
    const key = parseRecordSubject(m.subject);
    if (key === undefined) return this.#transport.publish(ackSubject, ACK);
    this.#handler(new Delivery(this.#transport, m, ackSubject, key));
    if (pull.outstanding <= BATCH / 2 && this.#isCurrent(pull)) this.#pull(pull);
  }

  #isCurrent(pull: Pull): boolean {
    return this.#pulls.includes(pull);
  }

  /** 404 nothing there, 408 the pull expired, 409 the consumer or leader changed. */
  #onStatus(pull: Pull, m: Incoming): void {
    if (m.status === 100) return;
    const left = Number(m.header("Nats-Pending-Messages") ?? pull.outstanding);
    pull.outstanding = Math.max(0, pull.outstanding - left);
    if (m.status === 503) pull.outstanding = 0;
    // Until the next turn nobody would be handed anything: up to half a second, every ten.
    if (m.status === 408 && pull.outstanding === 0 && this.#isCurrent(pull)) this.#pull(pull);
  }
}

class Delivery implements SpecDelivery {
  readonly #message: Incoming;
  readonly receipt: Receipt;
  readonly key: SpecDelivery["key"];
  readonly rev: number;
  readonly deliveries: number;
  readonly storedAt: number;

  constructor(transport: Link, message: Incoming, ackSubject: string, key: SpecDelivery["key"]) {
    this.#message = message;
    this.receipt = new AckReceipt(transport, ackSubject);
    this.key = key;
    // $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>, or
    // with <domain>.<account> before the stream in the newer form: count from the end.
    const t = ackSubject.split(".");
    const at = t.length > 9 ? 6 : 4;
    this.deliveries = Number(t[at]);
    this.rev = Number(t[at + 1]);
    this.storedAt = Number(t[at + 3]) / 1e6;
  }

  get body(): Uint8Array {
    return this.#message.data;
  }

  header(name: string): string | undefined {
    return this.#message.header(name);
  }
}

/** Held for as long as the task: without the message, which keeps all that came with it. */
class AckReceipt implements Receipt {
  readonly #transport: Link;
  readonly #subject: string;

  constructor(transport: Link, subject: string) {
    this.#transport = transport;
    this.#subject = subject;
  }

  ack(): void {
    this.#transport.publish(this.#subject, ACK);
  }

  working(): void {
    this.#transport.publish(this.#subject, WORKING);
  }

  release(afterMs: number): void {
    const delay = Math.round(Math.max(0, afterMs) * 1e6);
    this.#transport.publish(this.#subject, Buffer.from(`-NAK {"delay":${delay}}`));
  }
}
