// Canceling a task: a fenced record. Who loses the race reads the new revision off the refusal.
import { type Address, type CancelRecord, NOBODY, ParleyError } from "../../contracts/index.ts";
import { foldTask, mayHaveEnded, type ReadRecord } from "../core/task-view.ts";
import type { Clock, Signer, WriteResult } from "../ports/index.ts";
import type { Records } from "./records.ts";

const TRIES = 8;
/** So often it is looked again at what may have ended the task. */
const DOUBTS = 4;
/** Until it is looked at again, ms. */
const AGAIN_MS = 250;

export interface CancelWish {
  owner: string;
  task: string;
  reason: string;
  /** Who cancels. */
  agent: Address;
  signer: Signer | undefined;
  /** The task's records as they are now, proven; undefined when they cannot be had. */
  look(): Promise<readonly ReadRecord[] | undefined>;
  /** The last revision and digest known, for when `look` gives nothing; no digest: none is. */
  readonly rev: number;
  readonly head: string;
}

/**
 * Stores the cancel record.
 * @returns "ended" when the task had its outcome before
 * @throws ParleyError E_STORE when the store did not take it
 */
export async function cancelTask(
  records: Records,
  clock: Clock,
  wish: CancelWish,
): Promise<"stored" | "ended"> {
  const { owner, task } = wish;
  const [fromPrincipal, fromAgent] = wish.agent.split(".") as [string, string];
  let refusedAt = 0;
  let unread = 0;
  for (let tries = 0; tries < TRIES; tries++) {
    const seen = await wish.look();
    const blind = seen === undefined && (refusedAt > 0 || wish.head === "");
    if (blind || (tries < DOUBTS && seen !== undefined && mayHaveEnded(seen))) {
      // What refused it, or what is there under this id, may be the outcome: nothing comes after
      // that.
      unread++;
      await new Promise<void>((resolve) => clock.after(AGAIN_MS, resolve));
      continue;
    }
    const known = seen ?? [];
    // A forged end is none: it must not keep anybody from canceling.
    if (foldTask(known).outcome !== undefined) return "ended";
    const last = known.at(-1);
    const written = known.filter((r) => r.kind === "cancel").length;
    // A record that cannot be proven still moves the revision: the refusal tells where it is.
    const rev = Math.max(last?.rev ?? wish.rev, refusedAt);
    const body: CancelRecord = {
      v: 1,
      kind: "cancel",
      task,
      reason: wish.reason.slice(0, 1024).toWellFormed(),
      at: Math.round(clock.wall()),
      prev: last?.digest ?? wish.head,
    };
    const result = await new Promise<WriteResult>((resolve) =>
      records.write(
        {
          owner,
          task,
          kind: "cancel",
          n: `0-${written + tries}`,
          // Whoever awarded the contract may be gone: every initiator hears of it.
          toPrincipal: NOBODY,
          toAgent: NOBODY,
          fromPrincipal,
          fromAgent,
        },
        body,
        rev,
        wish.signer,
        resolve,
      ),
    );
    if (result.ok) return "stored";
    if (result.fault !== "conflict") {
      throw new ParleyError(
        "E_STORE",
        `the cancel record was not stored (${result.detail}); try again`,
      );
    }
    refusedAt = result.rev ?? 0;
  }
  const why = unread > 0 ? "nobody could tell how far the task is" : "the task moves on too fast";
  throw new ParleyError("E_STORE", `not canceled: ${why}; try again`);
}
