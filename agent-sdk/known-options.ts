// Programs in plain JavaScript have nobody who tells them that an option is misspelt: left out in
// silence, a `timeout` would be ten minutes.
import { ParleyError } from "../contracts/index.ts";

/** Every name that there is, so that the compiler finds one that was forgotten here. */
export type Known<Options> = Readonly<Record<Extract<keyof Options, string>, true>>;

/**
 * @param of whose options these are, as the developer writes it
 * @throws ParleyError E_SCHEMA, naming the option and what may have been meant
 */
export function checkKnown<Options>(of: string, options: unknown, known: Known<Options>): void {
  if (typeof options !== "object" || options === null) {
    throw new ParleyError("E_SCHEMA", `the options of ${of} are an object, not ${typeof options}`);
  }
  const names = Object.keys(known);
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || names.includes(name)) continue;
    const start = name.slice(0, 4).toLowerCase();
    const meant = names.filter((one) => one.toLowerCase().startsWith(start));
    const list = (meant.length > 0 ? meant : names).join(", ");
    throw new ParleyError("E_SCHEMA", `${of} has no option "${name}"; there is: ${list}`);
  }
}

/** @throws ParleyError E_SCHEMA */
export function checkSignal(of: string, signal: unknown): void {
  if (signal === undefined || signal instanceof AbortSignal) return;
  const advice = signal instanceof AbortController ? "give the controller's .signal" : "";
  throw new ParleyError(
    "E_SCHEMA",
    `signal of ${of} must be an AbortSignal${advice && `; ${advice}`}`,
  );
}
