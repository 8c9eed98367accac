// Reads past the leader (ADR-31), as the server answers them: one message by its subject, the last
// one of each subject that matches, or a page of them.
import { statusMessage, type VirtualMessage } from "./message.ts";
import { StoredMessage } from "./stored-message.ts";
import type { Stored, Stream } from "./stream.ts";

/** Subjects of which one request may ask for the last message. */
const MULTI_MAX = 1_024;

interface Wanted {
  multi_last?: string[];
  seq?: number;
  batch?: number;
  next_by_subj?: string;
}

/** @param subject of the single form; empty for the others */
export function answerDirectGet(
  stream: Stream,
  subject: string,
  data: Uint8Array,
  reply: string,
): VirtualMessage[] {
  const { name } = stream.config;
  if (subject !== "") {
    const one = stream.find(subject).at(-1);
    if (one === undefined) return [statusMessage(reply, 404)];
    return [new StoredMessage(reply, name, one)];
  }
  const wanted = JSON.parse(Buffer.from(data).toString()) as Wanted;
  const matching = find(stream, wanted);
  if (matching === undefined) return [statusMessage(reply, 413)];
  if (matching.length === 0) return [statusMessage(reply, 404)];
  const found = wanted.multi_last === undefined ? matching.slice(0, batchOf(wanted)) : matching;
  let before = 0;
  const answers = found.map((stored, at) => {
    const last = before;
    before = stored.seq;
    return new StoredMessage(reply, name, stored, last, found.length - 1 - at);
  });
  // One stands for all that are left: nobody asks how many.
  const left = String(matching.length - found.length);
  const end = { "Nats-Num-Pending": left, "Nats-Last-Sequence": String(before) };
  return [...answers, statusMessage(reply, 204, end)];
}

function batchOf({ batch = 1 }: Wanted): number {
  return batch;
}

/** One more than the batch holds, where there is one. Undefined: more than one may ask for. */
function find(stream: Stream, wanted: Wanted): Stored[] | undefined {
  if (wanted.multi_last === undefined) {
    return stream.from(wanted.seq ?? 1, wanted.next_by_subj ?? ">", batchOf(wanted) + 1);
  }
  const found = new Map<number, Stored>();
  for (const pattern of wanted.multi_last) {
    for (const stored of stream.find(pattern)) found.set(stored.seq, stored);
  }
  if (found.size > MULTI_MAX) return undefined;
  return [...found.values()].sort((a, b) => a.seq - b.seq);
}

/** A leader's read, as far as the mesh asks for one: where the last message of a task lies. */
export function answerMessageGet(stream: Stream, data: Uint8Array): Uint8Array {
  const { last_by_subj: subject = ">" } = JSON.parse(Buffer.from(data).toString()) as {
    last_by_subj?: string;
  };
  const last = stream.find(subject).reduce((seq, m) => Math.max(seq, m.seq), 0);
  const type = "io.nats.jetstream.api.v1.stream_msg_get_response";
  const error = { code: 404, err_code: 10037, description: "no message found" };
  return Buffer.from(
    JSON.stringify(last === 0 ? { type, error } : { type, message: { seq: last } }),
  );
}
