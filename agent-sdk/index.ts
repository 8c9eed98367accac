// The agent-sdk: what an agent's author sees.

export type {
  AgentCard,
  Attributes,
  Cfp,
  Failure,
  FailureCode,
  Outcome,
  Requirements,
  TaskState,
  Workflow,
} from "../contracts/index.ts";
export { ParleyError } from "../contracts/index.ts";
export type { BidTerms, Policy, ScoredBid, TaskEvent, TaskFacts } from "../mesh/index.ts";
export type { Log } from "../mesh/ports/index.ts";
export { Board, type BoardItem, type Lease } from "./board.ts";
export type {
  Capability,
  CapabilityOptions,
  HandlerInputOf,
  HandlerOutputOf,
  InputOf,
  OutputOf,
} from "./capability.ts";
export { defineCapability } from "./capability.ts";
export type { Handler, TaskContext } from "./context.ts";
export { Definitions } from "./definitions.ts";
export type { AskOptions, Branch, DurableActs, StepOptions } from "./durable.ts";
export { RetryableError, TerminalError } from "./errors.ts";
export {
  defineFlow,
  type Flow,
  type FlowStepOptions,
  type LoopOptions,
  type Ref,
  type StepRef,
  type Template,
  undo,
  where,
} from "./flow.ts";
export type { TaskHandle } from "./handle.ts";
export { type JoinOptions, join } from "./join.ts";
export type { AgentQuery, Mesh } from "./mesh.ts";
export type { CallOptions, SubmitOptions } from "./options.ts";
export {
  type Ballot,
  type ChatOptions,
  type Critique,
  countVotes,
  criticLoop,
  delegate,
  type FanOptions,
  fanOut,
  groupChat,
  type Handoff,
  handoff,
  mapReduce,
  pipeline,
  type Said,
  type VoteOptions,
  type VoteResult,
  vote,
} from "./patterns.ts";
export { readWorkflow } from "./read-workflow.ts";
export type { ServeOptions } from "./serve-options.ts";
export type { InferInput, InferOutput, StandardSchemaV1 } from "./standard-schema.ts";
export { Triggers } from "./triggers.ts";
export {
  runWorkflow,
  serveWorkflows,
  type WorkflowHost,
  workflow,
} from "./workflow.ts";
