// What the guards cost beside the bare parsers: `node bench/micro/codec.ts`.
// Best of several rounds per row, since anything else on the machine can only add.

import { Packr, Unpackr } from "msgpackr";
import {
  CONTROL_LIMITS,
  decode,
  decodeJsonValue,
  encodeJson,
  encodeMsgpack,
  RECORD_LIMITS,
} from "../../mesh/runtime/codec/codec.ts";
import { guardJson } from "../../mesh/runtime/codec/json-guard.ts";
import { guardMsgpack } from "../../mesh/runtime/codec/msgpack-guard.ts";

const ROUNDS = 7;
const ROUND_MS = 40;

const bid = {
  v: 1,
  kind: "bid",
  task: "01JD8Z6Q3K",
  cfp: "c7f1",
  agent: "UBJ4XK7Q",
  cost: 12.5,
  etaMs: 350,
  load: 3,
  slots: 4,
  at: 1_763_680_000_000,
  ok: true,
  seq: 41,
};

const record = {
  v: 1,
  kind: "spec",
  task: "01JD8Z6Q3K5V9W2X7Y4T1R8P6N",
  capability: { name: "llm.generate", version: "2.1.0" },
  submitter: "UBJ4XK7QTXK3Y6ZP5M2N4R7S8T9V0W1X2Y3Z4A5B6C7D8E9F0G",
  createdAt: 1_763_680_000_000,
  deadlineAt: 1_763_680_060_000,
  priority: 5,
  budget: { currency: "EUR", amount: 0.25, spent: 0 },
  labels: ["operator", "batch", "nightly"],
  requires: [
    { name: "gpu", op: ">=", value: 1 },
    { name: "region", op: "in", value: ["eu", "us"] },
  ],
  input: {
    prompt: `Summarise “this” page: ${"lorem ipsum dolor sit amet ".repeat(12)}`,
    maxTokens: 256,
  },
};

const packr = new Packr({ useRecords: false, variableMapSize: true });
const unpackr = new Unpackr({ useRecords: false, int64AsType: "number" });
const utf8 = new TextDecoder();
let sink: unknown;

/** Nanoseconds per call. */
function nsPerCall(run: () => unknown): number {
  let calls = 1;
  let best = Number.POSITIVE_INFINITY;
  for (let round = -2; round < ROUNDS; ) {
    const startedAt = process.hrtime.bigint();
    for (let i = 0; i < calls; i++) sink = run();
    const elapsedNs = Number(process.hrtime.bigint() - startedAt);
    if (elapsedNs < ROUND_MS * 1e6) {
      calls = Math.ceil(calls * Math.min(10, (ROUND_MS * 1.2e6) / Math.max(elapsedNs, 1e3)));
      continue;
    }
    round++; // two rounds that only warm up
    if (round > 0) best = Math.min(best, elapsedNs / calls);
  }
  return best;
}

function row(name: string, bytes: number, run: () => unknown): void {
  const ns = nsPerCall(run);
  const per100 = (ns / bytes) * 100;
  console.log(
    `  ${name.padEnd(34)}${ns.toFixed(0).padStart(8)} ns${per100.toFixed(0).padStart(7)}`,
  );
}

function compare(name: string, value: object): void {
  const json = encodeJson(value);
  const packed = encodeMsgpack(value);
  console.log(`${name}: ${json.length} bytes of JSON, ${packed.length} of msgpack (ns, ns/100 B)`);
  row("JSON.parse, with UTF-8 decoding", json.length, () => JSON.parse(utf8.decode(json)));
  row("guardJson alone", json.length, () => guardJson(json, CONTROL_LIMITS));
  row("decode JSON", json.length, () => decode(json, CONTROL_LIMITS));
  row("JSON.stringify, to bytes", json.length, () => Buffer.from(JSON.stringify(value)));
  row("encodeJson", json.length, () => encodeJson(value));
  const view = () => new Uint8Array(packed.buffer, packed.byteOffset, packed.byteLength);
  row("msgpackr unpack", packed.length, () => unpackr.unpack(view()));
  row("guardMsgpack alone", packed.length, () => guardMsgpack(packed, CONTROL_LIMITS));
  row("decode msgpack", packed.length, () => decode(packed, CONTROL_LIMITS));
  row("msgpackr pack, copied", packed.length, () => Buffer.from(packr.pack(value)));
  row("encodeMsgpack", packed.length, () => encodeMsgpack(value));
}

/** Documents at the limit of a record (1 MiB) that cost the most to read or to refuse. */
function worst(): void {
  console.log("at the record limit: milliseconds for one document, the median of 9");
  const fill = (head: string, unit: string, tail: string) => {
    const room = RECORD_LIMITS.bytesMax - head.length - tail.length;
    const count = Math.floor(room / Buffer.byteLength(unit));
    return Buffer.from(head + unit.repeat(count) + tail);
  };
  const keys = (write: (key: string) => string) =>
    Buffer.from(
      `{${Array.from({ length: 10_000 }, (_, i) => {
        return `"${write(`${i}`.padStart(60, "k"))}":0`;
      }).join(",")}}`,
    );
  const packed = (head: string, byte: number) =>
    Buffer.concat([Buffer.from(head, "hex"), Buffer.alloc(1_048_000, byte)]);
  const documents: [string, Uint8Array][] = [
    ["one long string", fill('{"a":"', "x", '"}')],
    ["one long string, not ASCII", fill('{"a":"', "é", '"}')],
    ["one long string of escapes", fill('{"a":"', "\\u00e9", '"}')],
    ["empty arrays", fill('{"a":[', "[],", "0]}")],
    ["small numbers", fill('{"a":[', "0,", "0]}")],
    ["numbers of a large exponent", fill('{"a":[', "1e308,", "0]}")],
    ["10,000 keys", keys((key) => key)],
    ["10,000 keys, escaped", keys((key) => key.replace("kk", "\\u006bk"))],
    ["escaped key before empty arrays", fill('{"\\u0061":[', "[],", "0]}")],
    ["escaped key before small numbers", fill('{"\\u0061":[', "0,", "0]}")],
    ["escaped key before escapes", fill('{"\\u0061":"', "\\n", '"}')],
    ["msgpack, empty maps", packed("81a161dd000ffdc0", 0x80)],
    ["msgpack, empty arrays", packed("81a161dd000ffdc0", 0x90)],
    ["msgpack, small integers", packed("81a161dd000ffdc0", 0x01)],
    ["msgpack, empty strings", packed("81a161dd000ffdc0", 0xa0)],
  ];
  for (const [name, bytes] of documents) {
    const times: number[] = [];
    let ok = false;
    for (let i = 0; i < 9; i++) {
      const startedAt = performance.now();
      const decoded =
        bytes[0] === 0x7b ? decodeJsonValue(bytes, RECORD_LIMITS) : decode(bytes, RECORD_LIMITS);
      times.push(performance.now() - startedAt);
      ok = decoded.ok;
    }
    const median = times.sort((a, b) => a - b)[4] as number;
    console.log(
      `  ${name.padEnd(38)}${median.toFixed(1).padStart(7)} ms  ${ok ? "ok" : "refused"}`,
    );
  }
}

console.log(`Node ${process.version}, V8 ${process.versions.v8}`);
compare("bid", bid);
compare("record", record);
worst();
if (sink === undefined) process.exitCode = 1; // keeps the results alive
