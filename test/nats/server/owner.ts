// Not a test: the owner of a server, started by run-server.test.ts to be killed. Prints one
// JSON line about its server, then does what the first argument says.
import { startServer } from "../../../mesh/nats/server/run-server.ts";

const [ending = "wait", binary = "", storeDir] = process.argv.slice(2);
const kept = storeDir === undefined ? {} : { storeDir };
const server = await startServer({ binary, ...kept });
const { pid, port, logFile } = server;
process.stdout.write(`${JSON.stringify({ pid, port, logFile, storeDir: server.storeDir })}\n`);
if (ending === "exit") process.exit(3);
if (ending === "throw") throw new Error("on purpose");
// Else it waits: its server keeps it alive.
