// Where the recorded data lies: beside the repository, in a folder of its own with its own licence.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const TRACE = "azure-llm/AzureLLMInferenceTrace_conv.csv";

/** The Azure LLM trace, or undefined where there is none. */
export const traceFile: string | undefined = (() => {
  const file = fileURLToPath(new URL(`../../../shared/data/${TRACE}`, import.meta.url));
  return existsSync(file) ? file : undefined;
})();

/** The reason for a skip, for the title of the tests that need the trace. */
export const traceReason =
  traceFile === undefined ? ` (skipped: no ../shared/data/${TRACE} beside the repository)` : "";
