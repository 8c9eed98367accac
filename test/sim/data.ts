// Where the recorded data lies: beside the repository, in a folder of its own with its own licence.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const TRACE = "azure-llm/AzureLLMInferenceTrace_conv.csv";
const RUNS = "tau-bench/gpt-4o-airline-steps.csv";

function there(name: string): string | undefined {
  const file = fileURLToPath(new URL(`../../../shared/data/${name}`, import.meta.url));
  return existsSync(file) ? file : undefined;
}

/** For the titles of tests that need the file. */
function reason(name: string): string {
  if (there(name) !== undefined) return "";
  return ` (skipped: no ../shared/data/${name} beside the repository)`;
}

/** The Azure LLM trace, or undefined where there is none. */
export const traceFile = there(TRACE);
export const traceReason = reason(TRACE);

/** The steps of tau-bench's recorded agents, or undefined where there are none. */
export const runsFile = there(RUNS);
export const runsReason = reason(RUNS);
