// The report as a person reads it: what happened, how fast, how fair, and what good looks like.
import { BASELINE_RULES, type BaselineRule } from "./baseline.ts";
import type { Report } from "./report-types.ts";

// What good looks like. Origin: issue 2, "What it must show".
const DECISION_P99_MS_GOOD = 10;
const SLOWDOWN_OVER_TEN_GOOD = 1.25;
/** Submissions later than this share of the mean end to end time are worth a remark. */
const LAG_SHARE_REMARK = 0.1;
const LAG_MS_REMARK = 20;

const RULE_NAMES: Record<BaselineRule, string> = {
  random: "random agent",
  p2c: "shorter of 2",
  bid10: "freest of 10",
  least: "one central queue",
};

/** Plain text, no colour, lines of at most 100 columns but for long workload names. */
export function formatReport(report: Report): string {
  const lines = [
    ...heading(report),
    "",
    ...figures(report),
    ...(hasBaseline(report) ? ["", ...table(report), "", ...judgement(report)] : []),
  ];
  return `${lines.map((line) => line.trimEnd()).join("\n")}\n`;
}

/** Of very large runs the plain rules are not computed. */
function hasBaseline({ baseline }: Report): boolean {
  return baseline.bid10.makespanMs > 0;
}

function heading(report: Report): string[] {
  const { agents, pool, tasks, timeScale, connections, policy, seed, workload } = report;
  const kind = pool === "mixed" ? "unlike one another" : "all alike";
  const pace = timeScale === 1 ? "in real time" : `at ${plain(timeScale)} of real time`;
  return [
    `${whole(agents)} agents (${kind}), ${whole(tasks.submitted)} tasks from ${workload}, ${pace}`,
    `connections ${connections}, policy ${policy}, profile ${report.profile}, seed ${seed}`,
    "",
    whatBecame(report),
  ];
}

function whatBecame({ tasks, interrupted }: Report): string {
  const others = (["failed", "expired", "canceled", "rejected"] as const)
    .filter((state) => tasks[state] > 0)
    .map((state) => `${whole(tasks[state])} ${state}`);
  const all = tasks.completed === tasks.submitted && tasks.submitted > 0;
  const completed = all
    ? `All ${whole(tasks.submitted)} tasks completed`
    : [`${whole(tasks.completed)} of ${whole(tasks.submitted)} tasks completed`, ...others].join(
        ", ",
      );
  const ended = tasks.completed + tasks.failed + tasks.expired + tasks.canceled + tasks.rejected;
  const lost = interrupted
    ? `stopped early with ${whole(tasks.submitted - ended)} under way`
    : tasks.lost === 0
      ? "none lost"
      : `${whole(tasks.lost)} LOST`;
  const { duplicated } = tasks;
  const twice = duplicated === 0 ? "none done twice" : `${whole(duplicated)} DONE TWICE`;
  return `${completed}; ${lost}, ${twice}.`;
}

function figures(report: Report): string[] {
  const { decisionMs, endToEndMs } = report;
  const refusals = Object.entries(report.refusals).filter(([, count]) => count > 0);
  const listed = refusals.map(([reason, count]) => `${whole(count)} ${reason}`).join(", ");
  const rows: [string, string][] = [
    ["pace", `${fixed(report.tasksPerSecond, 1)} tasks a second for ${seconds(report.seconds)}`],
    ["slots in use", `${fixed(report.utilisation * 100, 1)} % of the time`],
    [
      "decision",
      `${ms(decisionMs.mean)} on average, half within ${ms(decisionMs.p50)}, ` +
        `99 % within ${ms(decisionMs.p99)}`,
    ],
    ["end to end", `half within ${ms(endToEndMs.p50)}, 99 % within ${ms(endToEndMs.p99)}`],
    [
      "per decision",
      `${fixed(report.messagesPerDecision, 1)} messages, ${fixed(report.bidsPerDecision, 1)} bids`,
    ],
    ["refusals", listed === "" ? "none" : listed],
  ];
  return rows.map(([name, text]) => `  ${name.padEnd(14)}${text}`);
}

function table(report: Report): string[] {
  const row = (name: string, one: Pick<Report, "giniOfBusyTime" | "slowdown">, cv: number) =>
    `  ${name.padEnd(20)}${fixed(one.giniOfBusyTime, 3).padStart(8)}${fixed(cv, 3).padStart(11)}` +
    `${fixed(one.slowdown.mean, 2).padStart(12)}${fixed(one.slowdown.p99, 1).padStart(10)}`;
  const rules = BASELINE_RULES.map((rule) => {
    const figures = report.baseline[rule];
    return row(RULE_NAMES[rule], figures, figures.coefficientOfVariation);
  });
  const head =
    `  ${"".padEnd(20)}${"Gini".padStart(8)}${"variation".padStart(11)}` +
    `${"slowdown".padStart(12)}${"99 %".padStart(10)}`;
  return [
    "The work was shared out like this (the rows below the first are computed from the same",
    "arrivals, with nothing to pay for messages):",
    head,
    row("this mesh", report, report.coefficientOfVariation),
    ...rules,
    "Gini and variation: busy time of the agents, 0 is perfectly even.",
    "Slowdown: time from submission to outcome over bare working time, 1 is no waiting.",
  ];
}

function judgement(report: Report): string[] {
  if (report.tasks.completed === 0) return ["Nothing was completed, so there is nothing to judge."];
  const { bid10, p2c } = report.baseline;
  const limit = bid10.slowdown.mean * SLOWDOWN_OVER_TEN_GOOD;
  const { expired } = report.tasks;
  const without = expired === 0 ? "" : `, and the ${whole(expired)} that expired are not in it`;
  const rows = [
    verdict(
      report.slowdown.mean <= limit && expired === 0,
      `slowdown ${fixed(report.slowdown.mean, 2)}; good is at most ${fixed(limit, 2)} ` +
        `(${SLOWDOWN_OVER_TEN_GOOD} x freest of 10)${without}`,
    ),
    verdict(
      report.giniOfBusyTime <= p2c.giniOfBusyTime,
      `Gini ${fixed(report.giniOfBusyTime, 3)}; good is at most ${fixed(p2c.giniOfBusyTime, 3)} ` +
        "(shorter of 2)",
    ),
    verdict(
      report.decisionMs.p99 < DECISION_P99_MS_GOOD,
      `99 % of decisions within ${ms(report.decisionMs.p99)}; ` +
        `good is under ${DECISION_P99_MS_GOOD} ms`,
    ),
  ];
  if (report.pool === "mixed" && report.giniOfBusyTime > p2c.giniOfBusyTime) {
    rows.push(
      "  note  these agents differ and the computed rules are blind to it; a policy that prefers",
      "        fast or cheap agents gives them more, which raises the Gini and is its purpose",
    );
  }
  const late = Math.max(LAG_MS_REMARK, report.endToEndMs.p50 * LAG_SHARE_REMARK);
  if (report.profile !== "virtual" && report.submitLagMs.p99 > late) {
    rows.push(
      `  note  tasks were submitted up to ${ms(report.submitLagMs.p99)} late (99 %): this machine`,
      "        cannot keep the pace, so take a larger --time-scale for figures to compare",
    );
  }
  return rows;
}

function verdict(good: boolean, text: string): string {
  return `  ${good ? "good" : "poor"}  ${text}`;
}

function ms(value: number): string {
  if (Math.abs(value) >= 10_000) return seconds(value / 1_000);
  return `${fixed(value, Math.abs(value) >= 100 ? 0 : 2)} ms`;
}

function seconds(value: number): string {
  return `${fixed(value, 1)} s`;
}

function fixed(value: number, digits: number): string {
  return value.toFixed(digits);
}

function plain(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function whole(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}
