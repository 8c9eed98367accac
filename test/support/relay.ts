// A way to a server that can be cut and mended: every connection ends, and none is taken meanwhile.
import { connect, createServer, type Server, type Socket } from "node:net";

export interface Relay {
  readonly url: string;
  cut(): Promise<void>;
  mend(): Promise<void>;
  stop(): Promise<void>;
}

export async function startRelay(to: string): Promise<Relay> {
  const { hostname, port } = new URL(to);
  const sockets = new Set<Socket>();
  let server: Server | undefined;
  let at = 0;
  const listen = async (): Promise<void> => {
    server = createServer((socket) => {
      const far = connect(Number(port), hostname);
      for (const [one, other] of [
        [socket, far],
        [far, socket],
      ] as const) {
        sockets.add(one);
        one.pipe(other);
        one.on("error", () => undefined);
        one.on("close", () => {
          sockets.delete(one);
          other.destroy();
        });
      }
    });
    await new Promise<void>((resolve) => server?.listen(at, "127.0.0.1", resolve));
    at = (server.address() as { port: number }).port;
  };
  const cut = async (): Promise<void> => {
    const closed = new Promise((resolve) => server?.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  await listen();
  return { url: `nats://127.0.0.1:${at}`, cut, mend: listen, stop: cut };
}
