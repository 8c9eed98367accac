// What a nats-server has written down about a consumer. It writes ten times a second at most, and
// on a busy disk as late as that takes: whoever kills it on purpose looks here first.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { TASKS_STREAM } from "../../contracts/index.ts";

const MAGIC = 22;
const VERSION = 2;

/** Stream sequence of the newest message handed out, as the disk has it; 0 where it has nothing. */
export function handedOnDisk(storeDir: string, consumer: string): number {
  const accounts = join(storeDir, "jetstream");
  const files = readdirSync(accounts).map((account) =>
    join(accounts, account, "streams", TASKS_STREAM, "obs", consumer, "o.dat"),
  );
  const file = files.find((name) => existsSync(name));
  return file === undefined ? 0 : deliveredOf(readFileSync(file));
}

/** Head of `o.dat`: ack floor and delivered, each as consumer and stream sequence
 * (nats-server 2.14, `encodeConsumerState`). */
function deliveredOf(state: Uint8Array): number {
  if (state[0] !== MAGIC || state[1] !== VERSION) throw new Error("another form of o.dat");
  let at = 2;
  const next = (): number => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = state[at++] ?? 0;
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value;
    }
  };
  const [, , , delivered] = [next(), next(), next(), next()];
  return delivered;
}
