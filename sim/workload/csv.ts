// Rows of a table by RFC 4180, but for cells with line breaks in them: no table here has any.

/** The cells of a row, unquoted; blanks around a cell do not count. */
export function cellsOf(line: string): string[] {
  const cells: string[] = [];
  let at = 0;
  do {
    const quoted = /^\s*"((?:[^"]|"")*)"\s*(?=,|$)/.exec(line.slice(at));
    const end = quoted === null ? line.indexOf(",", at) : at + quoted[0].length;
    const to = end < 0 ? line.length : end;
    cells.push(quoted?.[1]?.replaceAll('""', '"') ?? line.slice(at, to).trim());
    at = to + 1;
  } while (at <= line.length);
  return cells;
}
