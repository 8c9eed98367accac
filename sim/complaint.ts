// How a command of the simulator says on standard error why it failed: with `--json` in the shape
// that every command of `parley` uses.
const CODES: Record<string, string> = {
  WorkloadError: "E_USAGE",
  FlowError: "E_USAGE",
  ServerNotFoundError: "E_NO_SERVER",
  ServerStartError: "E_NO_SERVER",
};

const FAULT = "this is a fault of Parley itself: report it, with PARLEY_TRACE=1 for where it was";

/** @param next what to do, where the message does not say it */
export function complaint(error: unknown, json: boolean, next?: string): string {
  const { name = "", message = String(error) } = error instanceof Error ? error : {};
  const code = name === "ParleyError" ? (error as { code?: string }).code : CODES[name];
  if (code === undefined) next ??= FAULT;
  if (json) return JSON.stringify({ error: { code: code ?? "E_HANDLER", message, next } });
  const lines = [`error: ${message}${name === "ParleyError" ? ` (${code})` : ""}`];
  if (next !== undefined) lines.push(`  next: ${next}`);
  if (process.env.PARLEY_TRACE && error instanceof Error) lines.push(String(error.stack));
  return lines.join("\n");
}
