// Definitions of workflows as they come in: read, and checked as a whole.
import { ParleyError, type Workflow, WorkflowSchema } from "../contracts/index.ts";
import { checkWorkflow, type Problem } from "../mesh/core/workflow/check.ts";
import { type Offer, offersByName } from "../mesh/core/workflow/offer.ts";
import { checkTypes } from "../mesh/core/workflow/types.ts";

/**
 * Reads and checks a definition.
 * @param offers what agents offer now: who does what, and whether values fit their schemas
 * @throws ParleyError E_SCHEMA with every problem, each with its place and what to do
 */
export function readWorkflow(value: unknown, offers?: Iterable<Offer>): Workflow {
  const parsed = WorkflowSchema.safeParse(value);
  const offered = offers === undefined ? undefined : offersByName(offers);
  const problems: Problem[] = parsed.success
    ? [
        ...checkWorkflow(parsed.data, offered && new Set(offered.keys())),
        ...(offered === undefined ? [] : checkTypes(parsed.data, offered)),
      ]
    : parsed.error.issues.map((issue) => ({
        path: issue.path.join(".") || "the definition",
        problem: issue.message,
        fix: "see docs/workflows.md for the form of a definition",
      }));
  if (parsed.success && problems.length === 0) return parsed.data;
  const lines = problems.map((p) => `${p.path}: ${p.problem}; ${p.fix}`);
  const head = `${problems.length} problem${problems.length === 1 ? "" : "s"} in the workflow`;
  throw new ParleyError("E_SCHEMA", `${head}:\n  ${lines.join("\n  ")}`);
}
