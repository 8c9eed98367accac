// What is checked of a spec before it is stored, and against the one that has its id already.
import {
  CLOCK_SKEW_MS,
  DEADLINE_MS_MAX,
  ParleyError,
  type Spec,
  SpecSchema,
  sameJson,
} from "../../contracts/index.ts";
import { isVersion } from "../core/match.ts";
import type { ReadRecord } from "../core/task-view.ts";

/** On whose behalf a door submits: this, and the asker's principal. */
export const DOOR = "door";

/** What no initiator could read would stay open for ever. @throws ParleyError E_SCHEMA */
export function checkSpec(spec: Spec): void {
  const issue = SpecSchema.safeParse(spec).error?.issues[0];
  if (issue !== undefined) {
    throw new ParleyError("E_SCHEMA", `${issue.path.join(".")}: ${issue.message}`);
  }
  if (spec.deadline > spec.at + DEADLINE_MS_MAX + CLOCK_SKEW_MS) {
    const days = DEADLINE_MS_MAX / 86_400_000;
    throw new ParleyError("E_SCHEMA", `the deadline is more than ${days} days away`);
  }
  for (const { version } of [spec, ...(spec.otherwise ?? [])]) {
    if (version === undefined || isVersion(version)) continue;
    throw new ParleyError("E_SCHEMA", `"${version}" is no version: 2, 2.1 or 2.1.0`);
  }
}

/** @returns false: it cannot be told @throws ParleyError E_TAKEN, E_JOURNAL */
export function isSame(records: readonly ReadRecord[], asked: Spec): boolean {
  const there = records.find(({ kind, flaw }) => kind === "spec" && flaw === undefined);
  if (there !== undefined) checkSame(there.body as Spec, asked);
  return there !== undefined;
}

/**
 * A sub-task's id says where in its parent it was made, and that decides: a handler that runs again
 * may ask for it in other words, not for something else. Artefacts are sealed anew each time: only
 * their sizes can be told.
 * @throws ParleyError E_TAKEN, E_JOURNAL
 */
export function checkSame(there: Spec, asked: Spec): void {
  if (asked.parent !== undefined) {
    if (there.capability === asked.capability) return;
    throw new ParleyError(
      "E_JOURNAL",
      `the sub-task ${asked.task} is for "${there.capability}", the handler asks for ` +
        `"${asked.capability}" there: it was changed while its task was under way`,
    );
  }
  // All who come through a door have its owner: what is another's is not theirs to read.
  const others = asked.onBehalfOf?.startsWith(DOOR) && there.onBehalfOf !== asked.onBehalfOf;
  const what = others
    ? "and somebody else's"
    : there.capability !== asked.capability
      ? `for "${there.capability}"`
      : there.inputRef?.bytes === asked.inputRef?.bytes && sameJson(there.input, asked.input)
        ? undefined
        : `for "${there.capability}" with another input`;
  if (what === undefined) return;
  throw new ParleyError(
    "E_TAKEN",
    `task ${asked.task} is there already, ${what}: submit this one under an id of its own`,
  );
}
