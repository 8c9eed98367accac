// The protocol as data: what every message, record and subject is, for people and for programs in
// other languages.
import { z } from "zod";
import {
  AgentCardSchema,
  AnswerSchema,
  AwardMessageSchema,
  AwardTermsSchema,
  BeatSchema,
  CancelRecordSchema,
  CfpSchema,
  ContractSchema,
  FailureRecordSchema,
  IdleSchema,
  LiveProbeSchema,
  MessageSchema,
  OfferSchema,
  OutcomeSchema,
  SpecSchema,
} from "../../contracts/index.ts";

interface Entry {
  schema: z.ZodType;
  form: "JSON" | "msgpack";
  text: string;
}

export const SCHEMAS: Readonly<Record<string, Entry>> = {
  card: { schema: AgentCardSchema, form: "JSON", text: "what an agent says of itself" },
  spec: { schema: SpecSchema, form: "JSON", text: "record: the task as its submitter states it" },
  contract: { schema: ContractSchema, form: "JSON", text: "record: the winner's claim" },
  failure: { schema: FailureRecordSchema, form: "JSON", text: "record: one attempt failed" },
  cancel: { schema: CancelRecordSchema, form: "JSON", text: "record: stop" },
  outcome: { schema: OutcomeSchema, form: "JSON", text: "record: the end; nothing follows it" },
  cfp: { schema: CfpSchema, form: "msgpack", text: "call for proposals" },
  answer: { schema: AnswerSchema, form: "msgpack", text: "bid or refusal" },
  award: { schema: AwardMessageSchema, form: "msgpack", text: "signed terms, and the spec" },
  awardTerms: { schema: AwardTermsSchema, form: "msgpack", text: "what an initiator signs" },
  idle: { schema: IdleSchema, form: "msgpack", text: "an agent has a free slot" },
  offer: { schema: OfferSchema, form: "msgpack", text: "a waiting task, for a free agent" },
  beat: { schema: BeatSchema, form: "msgpack", text: "a busy contractor is alive" },
  probe: { schema: LiveProbeSchema, form: "msgpack", text: "are you still on this task?" },
  message: {
    schema: MessageSchema,
    form: "msgpack",
    text: "between agents: progress, done, cancel, fenced, live outcome",
  },
};

export interface SubjectRow {
  subject: string;
  form: string;
  text: string;
}

export const SUBJECTS: readonly SubjectRow[] = [
  {
    subject: "mesh.submit.<capability>",
    form: "JSON",
    text: "request: stores a task, answers with its id",
  },
  {
    subject: "mesh.call.<capability>",
    form: "JSON",
    text: "request: answers with progress, the result, and an empty message",
  },
  {
    subject: "mesh.cfp.<capability>.<rung>.<P>.<A>",
    form: "cfp",
    text: "initiator to participants; rung: s2, s4, s8 (queue groups), all",
  },
  { subject: "mesh.bid.<toP>.<toA>.<cfp>.<P>.<A>", form: "answer", text: "bid or refusal" },
  { subject: "mesh.award.<toP>.<toA>.<P>.<A>", form: "award", text: "initiator to contractor" },
  {
    subject: "mesh.idle.<capability>.<P>.<A>",
    form: "idle",
    text: "free agent to waiting initiators",
  },
  { subject: "mesh.offer.<toP>.<toA>.<P>.<A>", form: "offer", text: "their answer" },
  {
    subject: "mesh.beat.<toP>.<toA>.<P>.<A>",
    form: "beat",
    text: "busy contractor to its initiators",
  },
  { subject: "mesh.live.<P>.<A>", form: "probe", text: "request: one byte, 1 yes or 0 no" },
  { subject: "mesh.msg.<toP>.<toA>.<P>.<A>", form: "message", text: "agent to agent" },
  {
    subject: "mesh.rec.<owner>.<toP>.<toA>.<kind>.<P>.<A>.<task>",
    form: "records",
    text: "the server, after storing a record",
  },
  {
    subject: "$KV.mesh_tasks.<owner>.<task>.<kind>.<n>.<toP>.<toA>.<P>.<A>",
    form: "records",
    text: "where records are stored; fenced by the task's last revision",
  },
  { subject: "mesh.reg.<P>.<A>", form: "card", text: "a card, into the registry; with a TTL" },
  { subject: "mesh.card.<P>.<A>", form: "card", text: "the server's notice of it, or of its end" },
  { subject: "mesh.key.<P>.<A>", form: "card", text: "the card kept, to prove records later" },
  { subject: "mesh.who.<P>.<A>", form: "card", text: "request: the agent's card" },
  {
    subject: "mesh.look.<owner>.<task>",
    form: "records",
    text: "request: the records of a task, for its owner",
  },
];

/** One JSON Schema document with a definition per message and record. */
export function protocolSchema(): object {
  const defs = Object.fromEntries(
    Object.entries(SCHEMAS).map(([name, { schema, form, text }]) => {
      const { $schema: _, ...shape } = jsonSchemaOf(schema);
      return [name, { title: name, description: `${text} (${form})`, ...shape }];
    }),
  );
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Parley protocol, version 1",
    description: "Messages and records by name; subjects under x-subjects. Bytes are msgpack bin.",
    "x-subjects": SUBJECTS,
    $defs: defs,
    anyOf: Object.keys(defs).map((name) => ({ $ref: `#/$defs/${name}` })),
  };
}

export function jsonSchemaOf(schema: z.ZodType): Record<string, unknown> {
  return z.toJSONSchema(schema, {
    io: "input",
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => {
      const { def } = zodSchema._zod;
      // The one class that crosses the wire is a byte string, msgpack's `bin`.
      if (def.type === "custom") {
        Object.assign(jsonSchema, { type: "string", contentEncoding: "binary" });
      }
    },
  }) as Record<string, unknown>;
}
