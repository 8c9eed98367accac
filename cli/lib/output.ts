// Data goes to standard output, everything else to standard error.
import { styleText } from "node:util";

export interface OutputOptions {
  json: boolean;
  quiet: boolean;
}

type Style = Parameters<typeof styleText>[0];

/** NATS_COLOR is the nats program's own variable; these of its values mean "none". */
const COLOR_OFF = new Set(["none", "never", "no", "off", "false", "0"]);

export class Output {
  readonly json: boolean;
  readonly quiet: boolean;

  constructor(options: OutputOptions) {
    this.json = options.json;
    this.quiet = options.quiet;
  }

  /** One document: pretty where people read it, one line where programs do. */
  document(value: unknown): void {
    const indent = process.stdout.isTTY === true ? 2 : undefined;
    process.stdout.write(`${JSON.stringify(value, undefined, indent)}\n`);
  }

  /** One line of a stream. */
  line(value: unknown): void {
    process.stdout.write(`${JSON.stringify(value)}\n`);
  }

  text(text: string): void {
    process.stdout.write(`${harmless(text)}\n`);
  }

  /** For people, not for programs. */
  note(text: string): void {
    if (!this.quiet) process.stderr.write(`${harmless(text)}\n`);
  }

  /** Shown even when quiet. */
  warn(text: string): void {
    process.stderr.write(`${harmless(text)}\n`);
  }

  /** Columns wide enough for their longest cell; the last one is as long as it likes. */
  table(heads: readonly string[], rows: readonly (readonly string[])[]): void {
    const widths = heads.map((head, i) =>
      Math.max(head.length, ...rows.map((row) => (row[i] ?? "").length)),
    );
    const put = (cells: readonly string[]) =>
      cells
        .map(oneLine)
        .map((cell, i) => (i === cells.length - 1 ? cell : cell.padEnd(widths[i] ?? 0)))
        .join("  ")
        .trimEnd();
    this.text(paint("bold", put(heads)));
    for (const row of rows) this.text(put(row));
  }

  /** Names and values, one a line. */
  fields(pairs: readonly (readonly [string, string | undefined])[]): void {
    const there = pairs.filter((pair): pair is readonly [string, string] => pair[1] !== undefined);
    const width = Math.max(0, ...there.map(([name]) => name.length));
    for (const [name, value] of there) {
      this.text(`${paint("dim", `${name.padEnd(width)} `)} ${oneLine(value)}`);
    }
  }
}

/**
 * Text of others may hold anything: what a terminal would obey is shown instead. Colours stay,
 * they are ours too.
 */
export function harmless(text: string): string {
  return text.replace(/\p{Cc}/gu, (c, at: number) => {
    if (c === "\n" || c === "\t") return c;
    if (c === "\u001b" && /^\[[\d;]*m/.test(text.slice(at + 1, at + 16))) return c;
    return `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** What somebody else says, so that it cannot pass for lines of ours. */
export function oneLine(text: string): string {
  return text.replaceAll("\n", "\\n");
}

/** Colour where standard output is a terminal and nobody has turned it off. */
export function paint(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout) {
  const wish = process.env.NATS_COLOR?.toLowerCase();
  if (wish !== undefined && COLOR_OFF.has(wish)) return text;
  return styleText(style, text, { stream, validateStream: true });
}

/** UTC, RFC 3339. */
export function timeText(ms: number | undefined): string | undefined {
  return ms === undefined || ms === 0 ? undefined : new Date(ms).toISOString();
}

/** A length of time for people: `340us`, `12.3ms`, `4.20s`, `3m10s`. */
export function lengthText(ms: number): string {
  if (!Number.isFinite(ms)) return "-";
  if (ms < 1) return `${Math.round(ms * 1000)}us`;
  if (ms < 1_000) return `${Number(ms.toPrecision(3))}ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(2)}s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes}m${Math.round((ms % 60_000) / 1_000)}s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours}h${minutes % 60}m` : `${Math.floor(hours / 24)}d${hours % 24}h`;
}

export function numberText(value: number): string {
  return String(Number(value.toPrecision(4)));
}
