/** Do both say the same, in whatever order their properties stand? Undefined is null. */
export function sameJson(a: unknown, b: unknown): boolean {
  const inOrder = (_: string, value: unknown) =>
    value === null || typeof value !== "object" || Array.isArray(value)
      ? value
      : Object.fromEntries(Object.entries(value).sort(([k], [l]) => (k < l ? -1 : 1)));
  return JSON.stringify(a ?? null, inOrder) === JSON.stringify(b ?? null, inOrder);
}
