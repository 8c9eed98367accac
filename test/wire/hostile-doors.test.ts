// Requests that nobody should make: at the doors each gets a typed refusal, elsewhere the answer
// that anybody gets, and nowhere does an answer go to a subject of the asker's choice.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FieldSchema } from "../../contracts/index.ts";
import { HOSTILE_BYTES } from "../support/hostile-bytes.ts";
import { counted, msgpack, until } from "./fixture.ts";
import { ina, mal, meanwhile, olga, SAMPLES, wes } from "./hostile-cast.ts";

describe("at the door", () => {
  /** Input may be any JSON, up to the size of a record: these are odd, and fine. */
  const FINE = new Set([
    "over the byte limit",
    "too many keys",
    "too many keys in parts",
    "too many empty objects",
    "a JSON string",
    "a JSON array",
    "a JSON number",
    "no bytes",
  ]);

  interface Answer {
    task?: string;
    state?: string;
    output?: unknown;
    error?: { code: string; message: string };
  }

  async function ask(subject: string, body: Uint8Array | string, head = {}): Promise<Answer> {
    return (await mal.request(subject, body, head)).json();
  }

  test.each(["submit", "call"] as const)(
    "mesh.%s refuses with a code and a reason",
    async (door) => {
      await meanwhile(async () => {
        for (const { name, bytes, fault } of HOSTILE_BYTES) {
          const answer = await ask(`mesh.${door}.echo`, bytes);
          if (FINE.has(name)) {
            expect([name, answer.state]).toEqual([
              name,
              door === "call" ? "completed" : "submitted",
            ]);
            continue;
          }
          const code = fault === "too_large" ? "E_TOO_LARGE" : "E_NOT_UNDERSTOOD";
          // A msgpack map over the control limit is no JSON in the first place.
          const codes = [code, "E_NOT_UNDERSTOOD"];
          expect([name, codes.includes(answer.error?.code ?? "")]).toEqual([name, true]);
          expect(answer.error?.message).toMatch(/JSON/);
        }
      });
    },
  );

  test("random bytes are refused, or they were JSON", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (bytes) => {
        const answer = await ask("mesh.submit.echo", bytes);
        if (answer.error === undefined) JSON.parse(Buffer.from(bytes).toString("utf8"));
        else expect(answer.error.code).toMatch(/^E_(NOT_UNDERSTOOD|TOO_LARGE)$/);
      }),
      { numRuns: 100 },
    );
  });

  test.each([
    ["Mesh-Priority", "eleven"],
    ["Mesh-Priority", "10"],
    ["Mesh-Priority", "-1"],
    ["Mesh-Priority", "5.5"],
    ["Mesh-Timeout-Ms", "0"],
    ["Mesh-Timeout-Ms", "1e99"],
    ["Mesh-Timeout-Ms", "NaN"],
    ["Mesh-Budget", "-0.01"],
    ["Mesh-Policy", "no such policy!"],
    ["Mesh-Policy", "x".repeat(65)],
    ["Mesh-Task", "a.b"],
    ["Mesh-Task", "*"],
    ["Mesh-Task", ">"],
    ["Mesh-Task", "x".repeat(65)],
  ])("%s: %s is refused, since no initiator could read such a task", async (name, value) => {
    for (const door of ["submit", "call"]) {
      const answer = await ask(`mesh.${door}.echo`, "{}", { [name]: value });
      expect(answer.error).toMatchObject({ code: "E_SCHEMA" });
    }
  });

  test("a reason that is cut in the middle of a character is sent all the same", async () => {
    for (const door of ["submit", "call"]) {
      const head = { "Mesh-Task": `x${"\u{1f600}".repeat(3_000)}` };
      const answer = await ask(`mesh.${door}.echo`, "{}", head);
      expect(answer.error?.code).toBe("E_SCHEMA");
    }
  });

  test("an unknown policy is rejected by name", async () => {
    const answer = await ask("mesh.call.echo", "{}", { "Mesh-Policy": "nosuch" });
    expect(answer).toMatchObject({ state: "rejected", failure: { code: "E_POLICY" } });
  });

  test.each(["*", ">", "a!b", "x".repeat(65), "\u{1f600}"])(
    "no capability is called %s",
    async (name) => {
      const answer = await ask(`mesh.submit.${name}`, "{}");
      expect(answer.error?.code).toBe("E_SCHEMA");
    },
  );

  test.each([30, 31, 32, 33])("input of depth %i is refused or comes back", async (depth) => {
    const body = `${"[".repeat(depth)}${"]".repeat(depth)}`;
    const answer = await ask("mesh.call.echo", body, { "Mesh-Timeout-Ms": "5000" });
    if (answer.error !== undefined)
      expect(answer.error.code).toMatch(/^E_(SCHEMA|NOT_UNDERSTOOD)$/);
    else expect(answer).toMatchObject({ state: "completed", output: JSON.parse(body) });
  });

  test("as many keys as the door lets in come back, or are refused", async () => {
    const many = (n: number) =>
      JSON.stringify(Object.fromEntries(Array.from({ length: n }, (_, i) => [`k${i}`, 0])));
    for (const keys of [9_900, 10_000, 10_001]) {
      const answer = await ask("mesh.call.echo", many(keys), { "Mesh-Timeout-Ms": "5000" });
      if (answer.error === undefined) expect([keys, answer.state]).toEqual([keys, "completed"]);
      else expect(answer.error.code).toMatch(/^E_(SCHEMA|NOT_UNDERSTOOD|TOO_LARGE)$/);
    }
  });

  test("without a reply subject it is a counted drop", async () => {
    const before = counted(ina, "refused.door.");
    mal.nc.publish("mesh.submit.echo", "{");
    mal.nc.publish("mesh.call.echo", "{");
    await until(() => counted(ina, "refused.door.") === before + 2, "both counted");
  });

  test("answers only to inboxes: the door speaks for nobody on other subjects", async () => {
    const key = await olga.nc.request("$JS.API.DIRECT.GET.mesh_keys.mesh.key.ina.main", "");
    const before = counted(ina, "refused.door.");
    for (const reply of [
      "mesh.key.ina.main",
      "mesh.reg.ina.main",
      "mesh.award.wes.main.ina.main",
    ]) {
      mal.publish("mesh.call.echo", "{}", {}, reply);
      mal.publish("mesh.submit.echo", "{", {}, reply);
    }
    await until(() => counted(ina, "refused.door.E_FORGED_PATH") >= 6, "six refused");
    expect(counted(ina, "refused.door.")).toBe(before + 6);
    const now = await olga.nc.request("$JS.API.DIRECT.GET.mesh_keys.mesh.key.ina.main", "");
    expect(now.data).toEqual(key.data);
  });
});

describe("asked who it is and whether it is there", () => {
  test("a peer answers with its card, whatever the question holds", async () => {
    const card = (await mal.request("mesh.who.wes.main", "")).data;
    for (const bytes of SAMPLES) {
      expect((await mal.request("mesh.who.wes.main", bytes)).data).toEqual(card);
    }
  });

  test("a look gets records, whatever it holds", async () => {
    for (const bytes of SAMPLES) {
      const answer = await mal.request("mesh.look.mal.t1", bytes);
      expect(Buffer.from(answer.data).includes("records")).toBe(true);
    }
    const before = counted(ina, "refused.look.");
    mal.publish("mesh.look.mal.*", "", {}, `_INBOX.mal.x`);
    await until(() => counted(ina, "refused.look.") === before + 1, "the look counted");
  });

  test("who could answer a call is told to who asks properly; others are counted", async () => {
    const before = counted(ina, "refused.field.");
    for (const bytes of SAMPLES) mal.publish("mesh.field.echo", bytes, {}, "_INBOX.mal.x");
    mal.publish("mesh.field.*", "", {}, "_INBOX.mal.x");
    mal.publish("mesh.field.echo", "", {}, "mesh.reg.ina.main");
    const refused = SAMPLES.filter((bytes) => bytes.length > 0).length + 2;
    await until(() => counted(ina, "refused.field.") === before + refused, "each counted");
    const answer = await mal.request("mesh.field.echo", "");
    expect(FieldSchema.strict().parse(answer.json())).toMatchObject({ kind: "field" });
  });

  test("as a micro service it answers, whatever the question holds", async () => {
    for (const verb of ["PING", "INFO", "STATS"]) {
      for (const subject of [`$SRV.${verb}`, `$SRV.${verb}.main`, `$SRV.${verb}.main.wes-main`]) {
        const answers = await Promise.all(SAMPLES.map((bytes) => olga.request(subject, bytes)));
        for (const a of answers) expect(a.json()).toMatchObject({ id: "wes-main", name: "main" });
      }
    }
  });

  test("none of them answers anywhere but in an inbox", async () => {
    const notices = olga.nc.subscribe("mesh.reg.>");
    const before = { wes: counted(wes, "refused."), ina: counted(ina, "refused.") };
    mal.publish("mesh.who.wes.main", "", {}, "mesh.reg.wes.main");
    mal.publish(
      "mesh.live.wes.main",
      msgpack({ v: 1, kind: "live", owner: "sue", task: "t", epoch: 1, from: "mal.main" }),
      {},
      "mesh.reg.wes.main",
    );
    mal.publish("mesh.look.mal.t1", "", {}, "mesh.reg.ina.main");
    olga.publish("$SRV.PING", "", {}, "mesh.reg.wes.main");
    await until(() => counted(wes, "refused.") >= before.wes + 3, "three refused by wes");
    await until(() => counted(ina, "refused.") >= before.ina + 1, "one refused by ina");
    expect(notices.getPending()).toBe(0);
    notices.unsubscribe();
  });
});
