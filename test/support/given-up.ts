// A process whose start is given up while it is half done: its link is cut while it reads the
// registry, and the server is not to be had any more. It ends by itself, or it has a bug.
//   node test/support/given-up.ts HOME URL
import { connect, createServer, type Socket } from "node:net";
import { openPeer } from "../../mesh/index.ts";
import { credsAuth } from "../../mesh/nats/identity/authenticator.ts";
import { mintUser, openHome } from "../../mesh/nats/identity/home.ts";

const [home = "", server = ""] = process.argv.slice(2);
const { hostname, port } = new URL(server);
const giveUp = new AbortController();

/** Passes on until the registry is asked for; nobody gets through after that. */
const open = new Set<Socket>();
const proxy = createServer((near) => {
  const far = connect(Number(port), hostname);
  for (const socket of [near, far]) {
    open.add(socket);
    socket.on("error", () => undefined);
  }
  far.pipe(near);
  near.on("data", (bytes: Buffer) => {
    if (!bytes.includes("KV_mesh_agents")) return far.write(bytes);
    proxy.close();
    for (const socket of open) socket.destroy();
    giveUp.abort();
  });
});
proxy.listen(0, "127.0.0.1", async () => {
  const { port: near } = proxy.address() as { port: number };
  const creds = await mintUser(await openHome(home), { name: "amy", role: "agent" });
  const about = { name: "amy", principal: "amy", agent: "main", role: "agent" } as const;
  const authenticator = credsAuth(creds);
  const servers = `nats://127.0.0.1:${near}`;
  const opening = openPeer({ ...about, servers, authenticator, signal: giveUp.signal });
  await opening.then(
    () => console.log("started"),
    (error) => console.log(`given up: ${error}`),
  );
});
