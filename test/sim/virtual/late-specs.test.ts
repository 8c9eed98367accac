// A task whose submitter could not send it before its deadline had passed.
import { expect, test } from "vitest";
import type { VirtualHost } from "../../../sim/virtual/hosts.ts";
import { Village } from "../../support/village.ts";

const LINK_AWAY_MS = 300_000;

/** Submits without a link, which is back after five minutes. */
async function submitted(timeoutMs: number) {
  const v = await new Village().open();
  const sue = v.host("sue");
  sue.cut();
  await v.world.run({ untilMs: v.world.now + 5_000 });
  const { submitters } = sue.peer as NonNullable<VirtualHost["peer"]>;
  let end = "";
  const submitting = submitters.submit("work", {}, { timeoutMs }).then((task) => task.outcome());
  const told = submitting.then(
    ({ state }) => {
      end = state;
    },
    (error: Error) => {
      end = error.message;
    },
  );
  await v.world.run({ untilMs: v.world.now + LINK_AWAY_MS });
  const before = end;
  sue.mend();
  await v.until(() => end !== "", 60_000);
  await told;
  return { before, end, begun: v.of("start").length };
}

test("is not begun any more, and its submitter is told", async () => {
  const said = expect.stringMatching(/its deadline passed before the store could be reached/);
  expect(await submitted(60_000)).toEqual({ before: said, end: said, begun: 0 });
});

test("is done where its deadline has not passed yet", async () => {
  expect(await submitted(900_000)).toEqual({ before: "", end: "completed", begun: 1 });
});
