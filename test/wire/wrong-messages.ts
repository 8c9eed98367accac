// Messages that decode well and are wrong all the same, made from one that is right.

export interface Wrong {
  code: "E_VERSION" | "E_KIND" | "E_SCHEMA" | "E_SENDER";
  value: Record<string, unknown>;
  /** False where the fault lies in bytes that JSON cannot carry. */
  opaque: boolean;
}

/** No field of ours takes a list within a list within a list. */
const MISFIT = [[[]]];

/** @param free fields that may hold anything */
export function wrongOnes(
  valid: Readonly<Record<string, unknown>>,
  free: readonly string[] = [],
): Wrong[] {
  const without = (field: string) => {
    const { [field]: _, ...rest } = valid;
    return rest;
  };
  const make = (code: Wrong["code"], value: Record<string, unknown>): Wrong => ({
    code,
    value,
    opaque: true,
  });
  const wrong: Wrong[] = [
    make("E_VERSION", { ...valid, v: 2 }),
    make("E_VERSION", { ...valid, v: 0 }),
    make("E_VERSION", { ...valid, v: 2, kind: "fantasy" }),
    make("E_KIND", { ...valid, kind: "fantasy" }),
    make("E_KIND", { ...valid, kind: 7 }),
    make("E_KIND", without("kind")),
    make("E_SCHEMA", { ...valid, v: "1" }),
    make("E_SCHEMA", without("v")),
  ];
  for (const field of Object.keys(valid)) {
    if (field === "v" || field === "kind" || free.includes(field)) continue;
    wrong.push(make("E_SCHEMA", { ...valid, [field]: MISFIT }));
    wrong.push(make("E_SCHEMA", { ...valid, [field]: null }));
  }
  return wrong;
}
