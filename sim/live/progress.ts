// What a person sees while a run goes on, on standard error: one line that is rewritten on a
// terminal, a plain line every two seconds elsewhere.
export interface Progress {
  readonly submitted: number;
  readonly of: number;
  readonly ended: number;
  readonly running: number;
  readonly agents: number;
}

export interface Screen {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

const DRAW_MS = 100;
const PLAIN_MS = 2_000;
const CLEAR = "\r\u001b[K";

export class ProgressLine {
  readonly #screen: Screen;
  readonly #draws: boolean;
  #timer: NodeJS.Timeout | undefined;
  #drawn = false;

  constructor(screen: Screen = process.stderr, env: NodeJS.ProcessEnv = process.env) {
    this.#screen = screen;
    const ci = env.CI !== undefined && env.CI !== "" && env.CI !== "false";
    this.#draws = screen.isTTY === true && !ci && env.TERM !== "dumb";
  }

  /** A line that stays. */
  say(line: string): void {
    this.#clear();
    this.#screen.write(`${line}\n`);
  }

  start(read: () => Progress): void {
    const begin = performance.now();
    const show = (): void => this.#show(format(read(), performance.now() - begin));
    this.#timer = setInterval(show, this.#draws ? DRAW_MS : PLAIN_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#clear();
  }

  #show(line: string): void {
    if (!this.#draws) {
      this.#screen.write(`${line}\n`);
      return;
    }
    // A line that wraps could not be rewritten.
    this.#screen.write(CLEAR + line.slice(0, (this.#screen.columns ?? 80) - 1));
    this.#drawn = true;
  }

  #clear(): void {
    if (this.#drawn) this.#screen.write(CLEAR);
    this.#drawn = false;
  }
}

export function format(p: Progress, elapsedMs: number): string {
  const seconds = `${(elapsedMs / 1_000).toFixed(0).padStart(3)} s`;
  const waiting = Math.max(0, p.submitted - p.ended - p.running);
  return (
    `${seconds}  submitted ${p.submitted} of ${p.of}  ended ${p.ended}  ` +
    `running ${p.running}  waiting ${waiting}  agents ${p.agents}`
  );
}
