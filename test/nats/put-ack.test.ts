// What the answer of a stream to a write says, to whom.
import { expect, test } from "vitest";
import { placeOf } from "../../mesh/nats/put-ack.ts";
import type { Incoming } from "../../mesh/ports/index.ts";

function answer(body: unknown, status = 0): Incoming {
  return {
    subject: "_INBOX.ann.1",
    data: Buffer.from(status === 0 ? JSON.stringify(body) : ""),
    reply: undefined,
    status,
    hasHeaders: status !== 0,
    header: () => undefined,
  };
}

const error = (err_code: number, description?: string) => ({ error: { err_code, description } });
const read = (m: Incoming, fenced: boolean) => placeOf(m, "KV_mesh_board", `"a.b"`, { fenced });

test("what was stored has a place", () => {
  expect(read(answer({ stream: "KV_mesh_board", seq: 7 }), true)).toBe(7);
});

test.each([
  ["no stream", answer({}, 503), true, "E_STORE", /no stream KV_mesh_board; see: parley doctor/],
  ["a fence that did not hold", answer(error(10071)), true, "E_FENCED", /"a.b" was written by/],
  ["a key that is written once", answer(error(10077)), true, "E_FENCED", /"a.b" was written by/],
  ["a fence that none had set", answer(error(10071, "odd")), false, "E_STORE", /stored: odd/],
  ["a full store", answer(error(10047, "no room")), true, "E_STORE", /"a.b" .* stored: no room/],
  ["another stream's word", answer({ stream: "KV_x", seq: 7 }), true, "E_STORE", /not the word of/],
  ["no word of why", answer(error(10047)), true, "E_STORE", /not stored: refused/],
])("%s", (_name, m, fenced, code, message) => {
  const refused = expect.objectContaining({ code, message: expect.stringMatching(message) });
  expect(() => read(m, fenced)).toThrow(refused);
});
