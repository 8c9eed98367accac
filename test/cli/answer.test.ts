// A handler asks a person: shown, answered, still there after a change of contractor.
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { defineCapability, join, type Log, type Mesh } from "../../agent-sdk/index.ts";
import { CliMesh } from "../support/cli-mesh.ts";

let mesh: CliMesh;
const joined: Mesh[] = [];
const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};

beforeAll(async () => {
  mesh = await CliMesh.start();
}, 30_000);
afterAll(async () => {
  await Promise.all(joined.map((agent) => agent.close()));
  await mesh?.stop();
});

async function agent(name: string): Promise<Mesh> {
  const { home, server } = mesh.local;
  const options = { name, server: server.url, home: home.dir, log: silent };
  const one = await join({ ...options, onSignals: "ignore" });
  joined.push(one);
  return one;
}

const approve = defineCapability({
  name: "approve",
  input: z.object({ sum: z.number(), timeoutMs: z.number().optional() }),
  output: z.object({ answer: z.unknown(), asked: z.number() }),
});

let asked = 0;
async function serve(name: string): Promise<Mesh> {
  const one = await agent(name);
  await one.serve(
    approve,
    async ({ sum, timeoutMs }, task) => {
      await task.step("count", () => void asked++);
      const limit = timeoutMs === undefined ? {} : { timeoutMs, otherwise: "refused" };
      const answer = await task.ask({ text: `pay ${sum}?` }, limit);
      return { answer, asked };
    },
    { slots: 8 },
  );
  return one;
}

const needing = async () =>
  (await mesh.json(["task", "ls", "--needs-input"])) as {
    task: string;
    state: string;
    contractor: string;
    questions: { key: string; question: unknown }[];
  }[];

describe("a question", { timeout: 40_000 }, () => {
  test("P10.12: is shown, answered, and asked once over two contractors", async () => {
    const first = await serve("clerk1");
    const handle = await first.submit(approve, { sum: 7 }, { retry: { attempts: 3 } });
    await vi.waitFor(async () => expect(await needing()).toHaveLength(1), { timeout: 10_000 });
    const [before] = await needing();
    expect(before).toMatchObject({
      task: handle.task,
      state: "input_required",
      questions: [{ question: { text: "pay 7?" } }],
    });
    const large = JSON.stringify("x".repeat(300_000));
    const refused = await mesh.run(["task", "answer", handle.task, "-"], {}, large);
    expect(refused.err).toMatch(/an answer of 300\d+ bytes; 262144 is the most.*E_TOO_LARGE/s);
    await serve("clerk2");
    await mesh.run(["task", "ls"]);
    await first.close();
    await vi.waitFor(async () => expect((await needing())[0]?.contractor).toMatch(/^clerk2\./), {
      timeout: 15_000,
      interval: 200,
    });
    const told = await mesh.run(["task", "answer", handle.task, '{"approved":true}']);
    expect(told).toMatchObject({ err: "", out: "answered\n" });
    await vi.waitFor(
      async () =>
        expect(JSON.parse((await mesh.run(["task", "get", handle.task, "--raw"])).out)).toEqual({
          answer: { approved: true },
          asked: 1,
        }),
      { timeout: 10_000 },
    );
    expect(await needing()).toEqual([]);
    const again = await mesh.run(["task", "answer", handle.task, "1"]);
    expect(again.err).toMatch(/asks nothing: it is completed/);
  });

  test("that several people answer at a time has one answer, and the others are told", async () => {
    const user = await agent("asker");
    const handle = await user.submit(approve, { sum: 6 });
    await vi.waitFor(async () => expect(await needing()).toHaveLength(1), { timeout: 10_000 });
    const said = await Promise.all(
      ["A", "B", "C"].map((text) => mesh.run(["task", "answer", handle.task, `"${text}"`])),
    );
    const { answer } = await handle.result();
    const right = ["A", "B", "C"].indexOf(String(answer));
    for (const [i, { code, err }] of said.entries()) {
      if (i === right) expect([code, err]).toEqual([0, ""]);
      // Who came later may find the task over.
      else
        expect([code, err]).toEqual([1, expect.stringMatching(/another answer|asks nothing|over/)]);
    }
  });

  test("of a task that was ended is asked no more", async () => {
    const user = await agent("quitter");
    const handle = await user.submit(approve, { sum: 5 });
    await vi.waitFor(async () => expect(await needing()).toHaveLength(1), { timeout: 10_000 });
    await handle.cancel("not wanted");
    expect(await needing()).toEqual([]);
  });

  test("that nobody answers in time has its default", async () => {
    const user = await agent("hasty");
    const handle = await user.submit(approve, { sum: 9, timeoutMs: 300 });
    expect((await handle.result()).answer).toBe("refused");
  });

  test("P10.12: is not answered by just anybody", async () => {
    const user = await agent("owner");
    const handle = await user.submit(approve, { sum: 8 });
    await vi.waitFor(async () => expect(await needing()).toHaveLength(1), { timeout: 10_000 });
    const [open] = await needing();
    const thief = await mesh.local.open("thief", "agent");
    const body = { v: 1, kind: "answer", owner: "owner", task: handle.task, epoch: 1 };
    thief.transport.publish(
      `mesh.msg.${open?.contractor}.thief.main`,
      Buffer.from(JSON.stringify({ ...body, key: open?.questions[0]?.key, value: "mine" })),
    );
    await thief.transport.flush();
    const told = await mesh.run(["task", "answer", handle.task, '"ours"']);
    expect(told.err).toBe("");
    expect((await handle.result()).answer).toBe("ours");
    await thief.close();
  });
});
