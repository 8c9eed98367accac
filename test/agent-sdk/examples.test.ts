// The examples, run from the sources as a reader of the repository runs them.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { useMesh } from "./fixture.ts";

const mesh = useMesh();

test.each([
  ["02-llm-agent.ts", /^You asked: What does a contract net do\? .*\nfake, cost 0\.000\d\d\n$/],
  ["03-own-policy.ts", /^fastest: us\nnear-first: eu\n$/],
  [
    "04-order-saga.ts",
    /^gave back the hotel\ngave back the flight\nfailed: step "car" failed: .*no car is left\n$/,
  ],
  ["05-map-reduce.ts", /^4500 words in 1000 texts\n$/],
  ["06-software-life-cycle.ts", /^tested: code of the design for "a button", draft 3\n$/],
  [
    "07-human-approval.ts",
    /^20: paid, decided by the rule for small sums\n200: not paid, decided by nobody in time\n$/,
  ],
  ["10-triggers.ts", /^packed order 7\nclosed in the evening\n$/],
  ["08-research-pipeline.ts", /^4 notes speak for it, with sources \(for, 2 rounds\)\n$/],
  [
    "09-patterns.ts",
    new RegExp(
      "^pipeline: HELLO!\nmap-reduce: 13 letters, the longest has 5\n" +
        "group chat: begin; ann heard 1; bob heard 2; ann heard 3\n" +
        "handoff: desk to expert, done: help, please\n$",
    ),
  ],
])(
  "%s does what it says, and ends",
  async (file, said) => {
    const path = fileURLToPath(new URL(`../../examples/${file}`, import.meta.url));
    const child = spawn(process.execPath, ["--conditions=parley-source", path], {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        NATS_URL: mesh.local.server.url,
        NATS_CREDS: "",
        NATS_NKEY: "",
        NATS_CONTEXT: "",
        OPENAI_API_KEY: undefined,
        PARLEY_HOME: mesh.local.home.dir,
      },
    });
    const [output, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
    expect(output).toMatch(said);
    expect(code).toBe(0);
  },
  20_000,
);
