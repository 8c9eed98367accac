// Leaving: an agent that is asked to stop finishes what it runs; one that is killed loses it to
// another. The agent is a process of its own, as in operation.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { type LocalMesh, startLocalMesh } from "../../mesh/local.ts";
import { aborted, gate, texts, useMesh } from "./fixture.ts";

const mesh = useMesh();
const long = texts("long");
const children: ChildProcess[] = [];
/** Any caller may become the initiator; none waits as long as the default for a silent agent. */
const tuning = { silenceMs: 200 };

interface Child {
  process: ChildProcess;
  address: string;
  /** Resolves when the child has said this line. */
  said(line: string): Promise<void>;
  exit: Promise<[code: number | null, signal: string | null]>;
}

async function startChild(local: LocalMesh = mesh.local): Promise<Child> {
  const script = fileURLToPath(new URL("./child-agent.ts", import.meta.url));
  const child = spawn(process.execPath, [script], {
    stdio: ["pipe", "pipe", "inherit"],
    env: {
      ...process.env,
      NATS_URL: local.server.url,
      NATS_CREDS: "",
      NATS_CONTEXT: "",
      NATS_NKEY: "",
      PARLEY_HOME: local.home.dir,
      PARLEY_LOG: "error",
    },
  });
  children.push(child);
  let output = "";
  const watchers = new Set<() => void>();
  child.stdout.on("data", (data) => {
    output += String(data);
    for (const watcher of watchers) watcher();
  });
  const exit = once(child, "exit") as Child["exit"];
  const line = async (pattern: RegExp): Promise<string> => {
    for (;;) {
      const found = pattern.exec(output);
      if (found !== null) return found[1] ?? "";
      await Promise.race([
        new Promise<void>((resolve) => watchers.add(resolve)),
        exit.then(() => Promise.reject(new Error(`the child ended; it said: ${output}`))),
      ]);
    }
  };
  return {
    process: child,
    exit,
    address: await line(/^ready (\S+)$/m),
    said: async (text) => void (await line(new RegExp(`^(${text})$`, "m"))),
  };
}

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

describe("an agent that gets SIGTERM", () => {
  test("leaves, finishes what runs, exits 0; an immediate repeat changes nothing", async () => {
    const caller = await mesh.join("caller", { tuning });
    const child = await startChild();
    const handle = await caller.submit(long, "work");
    const call = caller.call(long, "call");
    await child.said("started");
    await mesh.sees(caller, long, 1);
    child.process.kill("SIGTERM");
    child.process.kill("SIGTERM");
    await mesh.sees(caller, long, 0);
    expect(child.process.exitCode).toBeNull();
    child.process.stdin?.write("done\n");
    expect(await handle.result()).toBe("work done");
    expect(await call).toBe("call done");
    expect(await child.exit).toEqual([0, null]);
    expect(await handle.outcome()).toMatchObject({ attempts: 1 });
  }, 20_000);

  test("and again, later than a repeat, ends at once", async () => {
    const caller = await mesh.join("caller2", { tuning });
    const child = await startChild();
    const handle = await caller.submit(long, "work", { to: child.address });
    await child.said("started");
    const again = setInterval(() => child.process.kill("SIGTERM"), 50);
    expect(await child.exit).toEqual([143, null]);
    clearInterval(again);
    await handle.cancel();
  }, 20_000);

  test("with nothing to do exits at once; after SIGINT with 130", async () => {
    const idle = await startChild();
    idle.process.kill("SIGTERM");
    expect(await idle.exit).toEqual([0, null]);
    const other = await startChild();
    other.process.kill("SIGINT");
    expect(await other.exit).toEqual([130, null]);
  }, 20_000);
});

test("a killed agent's task is taken over", async () => {
  const caller = await mesh.join("caller3", { tuning });
  const child = await startChild();
  const handle = await caller.submit(long, "work", { to: child.address });
  await child.said("started");
  const second = await mesh.join("second", { roles: { initiator: false, intake: false } });
  await second.serve(long, (input, { epoch }) => `${input} taken over in epoch ${epoch}`);
  child.process.kill("SIGKILL");
  expect(await handle.result()).toBe("work taken over in epoch 2");
  const failures = [];
  for await (const event of handle.events()) {
    if (event.type === "state" && event.state === "running") failures.push(event.contractor);
  }
  expect(failures).toEqual([child.address, second.address]);
}, 20_000);

test("a crash is known from the server's own word, long before silence would tell", async () => {
  // Silent agents are given ten minutes: only the lost connection can bring the task on.
  const patient = { tuning: { silenceMs: 600_000 } };
  const caller = await mesh.join("caller4", patient);
  const child = await startChild();
  const handle = await caller.submit(long, "work", { to: child.address });
  await child.said("started");
  const third = await mesh.join("third", { roles: { initiator: false, intake: false } });
  await third.serve(long, (input, { epoch }) => `${input} in epoch ${epoch}`);
  child.process.kill("SIGKILL");
  expect(await handle.result(AbortSignal.timeout(15_000))).toMatch(/in epoch 2$/);
}, 20_000);

describe("drain", () => {
  test("waits for running handlers, which may still make sub-tasks", async () => {
    const [parent, child] = [texts("drain-parent"), texts("drain-child")];
    const [agent, helper] = [await mesh.join("drainer"), await mesh.join("helper")];
    const [started, released] = [gate(), gate()];
    await helper.serve(child, (s) => s.toUpperCase());
    await agent.serve(parent, async (input, { call }) => {
      started.open();
      await released.promise;
      return call(child, input);
    });
    const handle = await helper.submit(parent, "x");
    await started.promise;
    const drained = agent.drain();
    await expect(agent.serve(child, (s) => s)).rejects.toMatchObject({ code: "E_DRAINING" });
    released.open();
    await drained;
    expect(await handle.result()).toBe("X");
  });

  test("after its grace aborts what runs, and others do it", async () => {
    const work = texts("drain-late");
    const [first, second] = [await mesh.join("late1"), await mesh.join("late2")];
    const started = gate();
    await first.serve(work, async (_, { signal }) => {
      started.open();
      throw await aborted(signal);
    });
    const handle = await second.submit(work, "", { retry: { backoffMs: 1 } });
    await started.promise;
    await second.serve(work, () => "second");
    await first.drain(20);
    expect(await handle.result()).toBe("second");
  });

  test("ends although the server is gone", async () => {
    const local = await startLocalMesh();
    const agent = await mesh.join("orphan", { server: local.server.url, home: local.home.dir });
    await agent.serve(texts("orphaned"), (s) => s);
    await local.stop();
    await expect(agent.drain()).resolves.toBeUndefined();
  }, 20_000);

  test("`await using` closes at the end of the block", async () => {
    let closed = false;
    {
      await using agent = await mesh.join("block");
      agent.onClosed(() => {
        closed = true;
      });
      await agent.serve(texts("block"), (s) => s);
    }
    expect(closed).toBe(true);
  });
});
