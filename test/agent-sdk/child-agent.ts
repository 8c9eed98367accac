// An agent in a process of its own, for drain.test.ts. Says what happens on standard output; a
// line on standard input lets its handlers finish.
import { join } from "../../agent-sdk/index.ts";
import { texts } from "./fixture-capabilities.ts";

const mesh = await join({ name: "child", roles: { initiator: false, intake: false } });
const told = new Promise<string>((resolve) => {
  process.stdin.once("data", (data) => resolve(String(data).trim()));
});
await mesh.serve(
  texts("long"),
  async (input) => {
    console.log("started");
    return `${input} ${await told}`;
  },
  { slots: 4 },
);
console.log(`ready ${mesh.address}`);
