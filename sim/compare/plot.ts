// A comparison as a picture: two rows of bars, how long and how even, as SVG that stands alone.
import type { Comparison, Row } from "./rows.ts";

const WIDTH = 720;
const LABEL = 150;
const BAR = 18;
const GAP = 6;
const HEAD = 34;
const COLOURS = { mesh: "#2a6f97", rule: "#a9a9a9" } as const;

interface Figure {
  title: string;
  of: (row: Row) => number | undefined;
}

export function plot(c: Comparison): string {
  const long: Figure =
    c.kind === "tasks"
      ? { title: "mean slowdown (1 is no waiting)", of: (r) => r.slowdownMean }
      : { title: "makespan over the bound (nobody is below 1)", of: (r) => r.overBound };
  const even: Figure = {
    title: "Gini of busy time (0 is perfectly even)",
    of: (r) => r.giniOfBusyTime,
  };
  const height = HEAD + 2 * (HEAD + c.rows.length * (BAR + GAP)) + GAP;
  const title = `${c.workload}: ${c.tasks} tasks, ${c.agents} agents`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" ` +
      `viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${height}" fill="white"/>`,
    text(10, 22, title, 'font-size="15"'),
    ...bars(c.rows, long, HEAD),
    ...bars(c.rows, even, 2 * HEAD + c.rows.length * (BAR + GAP)),
    "</svg>",
    "",
  ].join("\n");
}

function bars(rows: readonly Row[], { title, of }: Figure, top: number): string[] {
  const values = rows.map((r) => of(r) ?? Number.NaN);
  const most = Math.max(...values.filter(Number.isFinite), Number.MIN_VALUE);
  const lines = [text(10, top + 20, title, 'font-weight="bold"')];
  rows.forEach((row, i) => {
    const y = top + HEAD + i * (BAR + GAP);
    const value = values[i] ?? Number.NaN;
    lines.push(text(10, y + 13, row.name));
    if (!Number.isFinite(value)) return;
    const width = Math.max(1, (value / most) * (WIDTH - LABEL - 80));
    lines.push(
      `<rect x="${LABEL}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" ` +
        `fill="${COLOURS[row.kind]}"/>`,
      text(LABEL + width + 6, y + 13, value.toFixed(3)),
    );
  });
  return lines;
}

function text(x: number, y: number, content: string, more = ""): string {
  const safe = content
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what XML has no form for
    .replaceAll(/[\u0000-\u001f\u007f\ufffe\uffff]/g, "�")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
  return `<text x="${x.toFixed(1)}" y="${y}" ${more}>${safe}</text>`;
}
