// A definition after a change. Dropped steps stay in it, as skipped ones: others come after them.
import type { Workflow, WorkflowChange } from "../../../contracts/index.ts";

export function changed(workflow: Workflow, { add = [], replace = [] }: WorkflowChange): Workflow {
  const other = new Map(replace.map((step) => [step.id, step]));
  const steps = workflow.steps.map((step) => other.get(step.id) ?? step);
  return { ...workflow, steps: [...steps, ...add] };
}
