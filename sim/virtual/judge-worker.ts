// The thread behind judge-thread.ts.
import { workerData } from "node:worker_threads";
import { Invariants } from "./invariants.ts";
import {
  GIVEN_UP,
  type JudgeOrder,
  type JudgeStart,
  type JudgeWord,
  type SentRecord,
} from "./judge-thread.ts";

const { options, port, done } = workerData as JudgeStart;
const judge = new Invariants(options);
let orders = 0;

const say = (word: JudgeWord): void => port.postMessage(word);

port.on("message", (order: JudgeOrder) => {
  let reached = ++orders;
  try {
    if ("drained" in order) {
      const report = judge.conclude(order.drained);
      say({ is: "over", report, first: judge.first });
    } else {
      read(order.entries);
    }
  } catch (error) {
    say({ is: "fault", what: error instanceof Error ? (error.stack ?? error.message) : "?" });
    reached = GIVEN_UP;
  }
  Atomics.store(done, 0, reached);
  Atomics.notify(done, 0);
});

function read(entries: Extract<JudgeOrder, { entries: unknown }>["entries"]): void {
  const held = judge.first === undefined;
  for (const entry of entries) {
    if ("body" in entry) stored(entry);
    else judge.line(entry);
  }
  const { first } = judge;
  if (held && first !== undefined) say({ is: "broken", batch: orders, first });
}

function stored({ headers, nowMs, ...record }: SentRecord): void {
  judge.stored({ ...record, header: (name) => headers[name] }, nowMs);
}
