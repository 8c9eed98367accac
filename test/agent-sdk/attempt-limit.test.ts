// The longest that one attempt may take: `limitMs` of `serve`.
import { describe, expect, test } from "vitest";
import type { Log } from "../../agent-sdk/index.ts";
import { aborted, codeOf, gate, silent, texts, useMesh } from "./fixture.ts";

const mesh = useMesh();
const LIMIT_MS = 60;

describe("an attempt that takes longer than its limit", () => {
  test("has failed, its signal is aborted, and the next one may succeed", async () => {
    const slow = texts("slow");
    const ada = await mesh.join("ada");
    const reasons: unknown[] = [];
    const handler = async (
      _: string,
      { signal, attempt }: { signal: AbortSignal; attempt: number },
    ) => {
      if (attempt > 1) return `attempt ${attempt}`;
      reasons.push(await aborted(signal));
      // Not every library says why it stopped.
      throw new DOMException("This operation was aborted", "AbortError");
    };
    await ada.serve(slow, handler, { limitMs: LIMIT_MS });
    const handle = await ada.submit(slow, "", { retry: { attempts: 2, backoffMs: 0 } });
    expect(await handle.result()).toBe("attempt 2");
    const message = expect.stringMatching(/limit of 60 ms/);
    expect(reasons).toMatchObject([{ code: "E_HANDLER", message }]);
    const last = await ada.submit(slow, "", { retry: { attempts: 1, backoffMs: 0 } });
    expect(await last.outcome()).toMatchObject({
      state: "failed",
      failure: { code: "E_HANDLER", message: "the handler took longer than its limit of 60 ms" },
    });
    const call = ada.call(slow, "", { retry: { attempts: 1, backoffMs: 0 } });
    await expect(call).rejects.toThrow("the handler took longer than its limit of 60 ms");
  });

  test("and goes on with its acts is told so, and gives its slot back", async () => {
    const acting = texts("acting");
    const eve = await mesh.join("eve");
    const release = gate();
    let runs = 0;
    await eve.serve(
      acting,
      async (_, task) => {
        if (++runs > 1) return "next";
        await task.step("long", () => release.promise);
        return "late";
      },
      { limitMs: LIMIT_MS, slots: 1 },
    );
    const first = await eve.submit(acting, "", { retry: { attempts: 1 } });
    expect((await first.outcome()).state).toBe("failed");
    release.open();
    expect(await (await eve.submit(acting, "", {})).result()).toBe("next");
  });

  test("is done elsewhere though its handler goes on, whose slot is not free", async () => {
    const stuck = texts("stuck");
    const said: string[] = [];
    const log: Log = {
      ...silent,
      warn: (_, text) => void said.push(String(text)),
      child: () => log,
    };
    const [bob, cyn] = [await mesh.join("bob", { log }), await mesh.join("cyn")];
    const [begun, end] = [gate(), gate<string>()];
    let runs = 0;
    await bob.serve(
      stuck,
      () => {
        runs++;
        begun.open();
        return end.promise;
      },
      { limitMs: LIMIT_MS },
    );
    const dan = await mesh.join("dan");
    await mesh.sees(dan, stuck, 1);
    const handle = await dan.submit(stuck, "", {});
    await begun.promise;
    await cyn.serve(stuck, () => "cyn");
    expect(await handle.result()).toBe("cyn");
    expect(said).toMatchObject([expect.stringMatching(/limit of 60 ms and goes on/)]);
    await Promise.all([1, 2, 3].map(async () => (await dan.submit(stuck, "")).result()));
    expect(runs).toBe(1);
    end.open("late");
    const only = await dan.submit(stuck, "", { to: bob.address, only: true });
    expect(await only.result()).toBe("late");
    expect(runs).toBe(2);
  });

  test("is no length of time: refused", async () => {
    const eve = await mesh.join("eve");
    for (const limitMs of [0, -1, Number.NaN, 2 ** 31]) {
      expect(await codeOf(eve.serve(texts("odd"), () => "", { limitMs }))).toBe("E_SCHEMA");
    }
  });
});
