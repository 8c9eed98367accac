// The stories that the arena plays, each a strain on one promise of the protocol.

import type { Stage } from "./stage.ts";
import { adoptions } from "./stories/adoption.ts";
import { cancels, expiry } from "./stories/ends.ts";
import { deaf, frozen, lateClaim } from "./stories/frozen.ts";
import { exCommit, hostile, liar } from "./stories/hostile.ts";
import { crowd, plain, retries } from "./stories/plain.ts";
import { lostAcks, replay } from "./stories/wire.ts";

/** Played together; the adoptions kill their initiator, so they come last. */
export const STORIES = {
  plain,
  crowd,
  retries,
  frozen,
  deaf,
  "late-claim": lateClaim,
  cancels,
  expiry,
  replay,
  "lost-acks": lostAcks,
  hostile,
  liar,
  "ex-commit": exCommit,
  adoptions,
} satisfies Record<string, (stage: Stage) => Promise<void>>;

export type Story = keyof typeof STORIES;
