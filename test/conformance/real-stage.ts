// A real nats-server as a stage.
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { type FrameProxy, startProxy } from "../../chaos/proxy/index.ts";
import { type Role, supervisionConsumer, TASKS_STREAM, URGENCY } from "../../contracts/index.ts";
import { type LocalMesh, startLocalMesh } from "../../mesh/local.ts";
import { NatsArtefacts } from "../../mesh/nats/artefacts.ts";
import { NatsCards } from "../../mesh/nats/cards.ts";
import { connectNats } from "../../mesh/nats/connect.ts";
import { credsAuth } from "../../mesh/nats/identity/authenticator.ts";
import { keyFromSeed } from "../../mesh/nats/identity/keys.ts";
import { NatsLedger } from "../../mesh/nats/ledger.ts";
import { NatsSupervision } from "../../mesh/nats/supervision.ts";
import { systemClock, systemRandom } from "../../mesh/nats/system.ts";
import { NatsTransport } from "../../mesh/nats/transport.ts";
import { until } from "../wire/fixture.ts";
import { handedOnDisk } from "./consumer-state.ts";
import { ACK_WAIT_MS, type Member, type Reachable, type Stage } from "./stage.ts";

export class RealStage implements Stage {
  readonly #mesh: LocalMesh;
  readonly #proxies: FrameProxy[] = [];
  #admin: { link: NatsTransport; jsm: JetStreamManager } | undefined;
  #open: { ledger: NatsLedger; supervision: NatsSupervision; link: NatsTransport }[] = [];

  private constructor(mesh: LocalMesh) {
    this.#mesh = mesh;
  }

  static async start(): Promise<RealStage> {
    const mesh = await startLocalMesh({ audit: false });
    const stage = new RealStage(mesh);
    const link = (await stage.#member("builder", "admin", [])).link as NatsTransport;
    const jsm = await jetstreamManager(link.connection, { checkAPI: false });
    stage.#open = [];
    stage.#admin = { link, jsm };
    for (const urgency of URGENCY) {
      const consumer = supervisionConsumer(urgency);
      await jsm.consumers.update(TASKS_STREAM, consumer, { ack_wait: ACK_WAIT_MS * 1e6 });
    }
    return stage;
  }

  /** Everybody leaves, and no record stays: the next case begins with an empty store. */
  async reset(): Promise<void> {
    for (const { ledger, supervision, link } of this.#open.splice(0)) {
      await supervision.stop();
      ledger.stop();
      if (!link.connection.isClosed()) await link.connection.close();
    }
    for (const proxy of this.#proxies.splice(0)) await proxy.close();
    const { link, jsm } = this.#admin ?? {};
    // A case may have killed the server, and nobody but this connection was waited for.
    await until(() => link?.state() !== "down", "the admin's return");
    await jsm?.streams.purge(TASKS_STREAM);
  }

  async killServer(): Promise<void> {
    const { server } = this.#mesh;
    server.kill("SIGKILL");
    await server.exited;
  }

  startServer(): Promise<void> {
    return this.#mesh.server.restart();
  }

  handedOnDisk(): number {
    const { storeDir } = this.#mesh.server;
    return Math.max(...URGENCY.map((u) => handedOnDisk(storeDir, supervisionConsumer(u))));
  }

  async reach(name: string, role: Role): Promise<Reachable> {
    const proxy = await startProxy({ to: this.#mesh.server.url, seed: 1 });
    this.#proxies.push(proxy);
    const member = await this.#member(name, role, [], proxy.url);
    return {
      ...member,
      cut: (which) => proxy.set({ cut: which }),
      mend: () => proxy.heal(),
    };
  }

  join(name: string, role: Role, capabilities: readonly string[] = []): Promise<Member> {
    return this.#member(name, role, capabilities);
  }

  async #member(
    name: string,
    role: Role,
    capabilities: readonly string[],
    url?: string,
  ): Promise<Member> {
    const creds = await this.#mesh.mint(name, role, capabilities);
    const connection = await connectNats({
      servers: url ?? this.#mesh.urls,
      name,
      principal: name,
      authenticator: credsAuth(creds),
    });
    const link = new NatsTransport(connection);
    const mayRead = role === "initiator" || role === "agent" || role === "admin";
    const ledger = new NatsLedger(link, systemClock, name, mayRead);
    const supervision = new NatsSupervision(link, systemClock, name);
    const errors: string[] = [];
    link.onError((error) => void errors.push(error.message));
    await link.flush();
    this.#open.push({ ledger, supervision, link });
    return {
      name,
      user: keyFromSeed(creds.seed).publicKey,
      link,
      ledger,
      supervision,
      cards: new NatsCards(link, systemClock, name),
      artefacts: new NatsArtefacts(link, systemRandom()),
      clock: systemClock,
      errors,
      kill: () => connection.close(),
    };
  }

  until(condition: () => boolean, what: string, limitMs?: number): Promise<void> {
    return until(condition, what, limitMs);
  }

  settle<T>(promise: Promise<T>): Promise<T> {
    return promise;
  }

  async flush(...members: Member[]): Promise<void> {
    for (const { link } of members) await link.flush();
  }

  async stop(): Promise<void> {
    await this.reset();
    await this.#mesh.stop();
  }
}
