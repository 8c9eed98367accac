// A workflow as a picture that stands alone: its graph above, who did what when below, and in both
// the critical path, along which nothing could have ended earlier.
import type { Workflow } from "../../contracts/index.ts";
import { graphOf } from "../../mesh/core/workflow/graph.ts";
import type { StepRow } from "./flow-file.ts";
import { lengthText } from "./output.ts";

const WIDTH = 960;
const MARGIN = 12;
const NODE_HEIGHT = 26;
const ROW_HEIGHT = 18;
const HEAD = 30;
const LABEL_WIDTH = 170;
/** Wider than this graphs get narrower boxes, then boxes without a name. */
const NODE_WIDTH_MAX = 130;
const NAMED_FROM = 36;

const COLOURS: Readonly<Record<string, string>> = {
  completed: "#8fc1a9",
  given: "#cfe3d8",
  running: "#f2c777",
  failed: "#e08b81",
  expired: "#e08b81",
  rejected: "#e08b81",
  canceled: "#d9b3c7",
};
const IDLE = "#e4e4e4";
const CRITICAL = "#b3261e";

/** @param begunAt when it was submitted, ms since the epoch */
export function flowPicture(w: Workflow, rows: readonly StepRow[], begunAt: number): string {
  const graph = graphOf(w.steps);
  const own = new Map(rows.map((row) => [row.id, row]));
  const at = (i: number): StepRow | undefined => own.get(w.steps[i]?.id ?? "");
  const path = criticalPath(graph.before, at);
  const nodes = layout(graph.before);
  const tallest = Math.max(1, ...nodes.map((n) => n.row + 1));
  const graphHeight = tallest * (NODE_HEIGHT + 8);
  const timed = rows.filter((row) => row.startedAt !== undefined);
  const height = HEAD + graphHeight + HEAD + timed.length * ROW_HEIGHT + 2 * MARGIN;
  const title = `${w.name} ${w.version}: ${w.steps.length} steps`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" ` +
      `viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="11">`,
    `<rect width="${WIDTH}" height="${height}" fill="white"/>`,
    label(MARGIN, 20, title, 'font-size="15"'),
    ...drawGraph(w, graph.before, nodes, at, path),
    ...drawTimes(timed, begunAt, new Set([...path].map((i) => w.steps[i]?.id ?? "")), {
      top: HEAD + graphHeight,
    }),
    "</svg>",
    "",
  ].join("\n");
}

/** Backwards from the step that ended last, each time over the one that it had to wait for. */
function criticalPath(
  before: readonly (readonly number[])[],
  at: (i: number) => StepRow | undefined,
): Set<number> {
  const latest = (list: readonly number[]): number | undefined => {
    let best: number | undefined;
    for (const i of list) {
      const end = at(i)?.endedAt;
      if (end === undefined) continue;
      if (best === undefined || end > (at(best)?.endedAt ?? 0)) best = i;
    }
    return best;
  };
  const path = new Set<number>();
  let i = latest([...before.keys()]);
  while (i !== undefined && !path.has(i)) {
    path.add(i);
    i = latest(before[i] ?? []);
  }
  return path;
}

interface Place {
  column: number;
  row: number;
}

/** Each step one column behind the last of those that it comes after. */
function layout(before: readonly (readonly number[])[]): Place[] {
  const columns: (number | undefined)[] = new Array(before.length).fill(undefined);
  const waits = before.map((list) => list.length);
  const after: number[][] = before.map(() => []);
  before.forEach((list, i) => {
    for (const from of list) after[from]?.push(i);
  });
  const queue = waits.flatMap((n, i) => (n === 0 ? [i] : []));
  for (let at = 0; at < queue.length; at++) {
    const i = queue[at] as number;
    columns[i] = Math.max(0, ...(before[i] ?? []).map((from) => (columns[from] ?? 0) + 1));
    for (const next of after[i] ?? []) {
      waits[next] = (waits[next] as number) - 1;
      if (waits[next] === 0) queue.push(next);
    }
  }
  const filled = new Map<number, number>();
  return columns.map((column = 0) => {
    const row = filled.get(column) ?? 0;
    filled.set(column, row + 1);
    return { column, row };
  });
}

function drawGraph(
  w: Workflow,
  before: readonly (readonly number[])[],
  nodes: readonly Place[],
  at: (i: number) => StepRow | undefined,
  path: ReadonlySet<number>,
): string[] {
  const columns = Math.max(1, ...nodes.map((n) => n.column + 1));
  const pitch = (WIDTH - 2 * MARGIN) / columns;
  const width = Math.min(NODE_WIDTH_MAX, pitch * 0.75);
  const x = (i: number) => MARGIN + (nodes[i]?.column ?? 0) * pitch;
  const y = (i: number) => HEAD + (nodes[i]?.row ?? 0) * (NODE_HEIGHT + 8);
  const lines: string[] = [];
  before.forEach((list, to) => {
    for (const from of list) {
      const hot = path.has(from) && path.has(to);
      lines.push(
        `<line x1="${n(x(from) + width)}" y1="${n(y(from) + NODE_HEIGHT / 2)}" ` +
          `x2="${n(x(to))}" y2="${n(y(to) + NODE_HEIGHT / 2)}" ` +
          `stroke="${hot ? CRITICAL : "#b8b8b8"}" stroke-width="${hot ? 2 : 1}"/>`,
      );
    }
  });
  w.steps.forEach(({ id }, i) => {
    const edge = path.has(i) ? `stroke="${CRITICAL}" stroke-width="2"` : 'stroke="#777"';
    lines.push(
      `<rect x="${n(x(i))}" y="${n(y(i))}" width="${n(width)}" height="${NODE_HEIGHT}" rx="4" ` +
        `fill="${colour(at(i)?.state)}" ${edge}><title>${safe(about(id, at(i)))}</title></rect>`,
    );
    if (width < NAMED_FROM) return;
    lines.push(label(x(i) + 5, y(i) + 17, id.slice(0, Math.floor(width / 6.5))));
  });
  return lines;
}

function drawTimes(
  rows: readonly StepRow[],
  begunAt: number,
  path: ReadonlySet<string>,
  { top }: { top: number },
): string[] {
  const now = Math.max(begunAt + 1, ...rows.map((row) => row.endedAt ?? row.startedAt ?? 0));
  const scale = (WIDTH - LABEL_WIDTH - 90) / (now - begunAt);
  const sorted = rows.toSorted((a, b) => (a.startedAt ?? 0) - (b.startedAt ?? 0));
  const lines = [label(MARGIN, top + 20, `time: ${lengthText(now - begunAt)}`, 'font-size="13"')];
  sorted.forEach((row, i) => {
    const y = top + HEAD + i * ROW_HEIGHT;
    const from = LABEL_WIDTH + ((row.startedAt ?? begunAt) - begunAt) * scale;
    const wide = Math.max(1, ((row.endedAt ?? now) - (row.startedAt ?? now)) * scale);
    const edge = path.has(row.id) ? `stroke="${CRITICAL}" stroke-width="2"` : 'stroke="none"';
    lines.push(
      label(MARGIN, y + 12, row.id.slice(0, 26)),
      `<rect x="${n(from)}" y="${y}" width="${n(wide)}" height="${ROW_HEIGHT - 4}" ` +
        `fill="${colour(row.state)}" ${edge}><title>${safe(about(row.id, row))}</title></rect>`,
      label(from + wide + 4, y + 12, row.contractor ?? "", 'fill="#555"'),
    );
  });
  return lines;
}

function about(id: string, row: StepRow | undefined): string {
  if (row === undefined) return id;
  const { startedAt, endedAt, state, contractor = "nobody" } = row;
  const took =
    startedAt === undefined || endedAt === undefined ? "" : `, ${lengthText(endedAt - startedAt)}`;
  return `${id}: ${state} by ${contractor}${took}`;
}

function colour(state: string | undefined): string {
  return COLOURS[state ?? ""] ?? IDLE;
}

function n(value: number): string {
  return value.toFixed(1);
}

function safe(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

function label(x: number, y: number, content: string, more = ""): string {
  return `<text x="${n(x)}" y="${n(y)}" ${more}>${safe(content)}</text>`;
}
