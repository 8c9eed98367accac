// Before anything is measured: a program's first second goes into compiling it, and of half a
// minute that is more than the slowest hundredth. So empty tasks go first, through the very
// processes that will do the work, but for agents and under names of their own: what is learned of
// them concerns nobody else.
import type { Tracker } from "../../mesh/runtime/tracker.ts";
import type { WarmUp } from "./messages.ts";
import type { SimInput } from "./sim-agent.ts";
import { openSubmitter, type SimMesh } from "./sim-mesh.ts";

/** Empty tasks. Guess: about a second of work. */
export const WARM_UP_TASKS = 500;
/** So many at a time. */
const AT_ONCE = 16;
/** Whatever is left then is left, ms. */
const PATIENCE_MS = 10_000;
const EMPTY: SimInput = { serviceMs: 0 };

/** What a host process needs for its part in it. */
export async function warmUpOf(mesh: SimMesh, host: string): Promise<WarmUp> {
  const principal = `${host}-warm${mesh.suffix}`;
  const creds = await mesh.mint(principal, "contractor", [capabilityOf(mesh)]);
  return { principal, creds, capability: capabilityOf(mesh) };
}

/** Set apart, as the principals are, from those of another run on the same mesh. */
function capabilityOf({ suffix }: SimMesh): string {
  return `warm-up${suffix}`;
}

/** Resolves when all have ended, when patience has, or when `over` is aborted. */
export async function warmUp(mesh: SimMesh, signing: boolean, over: AbortSignal): Promise<void> {
  const submitter = await openSubmitter(mesh, `sim-warm${mesh.suffix}`, signing);
  const stop = AbortSignal.any([over, AbortSignal.timeout(PATIENCE_MS)]);
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < WARM_UP_TASKS && !stop.aborted) {
      next++;
      const { submitters } = submitter.peer;
      const options = { timeoutMs: PATIENCE_MS };
      await ended(await submitters.submit(capabilityOf(mesh), EMPTY, options), stop);
    }
  };
  try {
    // What is wrong with the mesh, the run itself will tell.
    await Promise.allSettled(Array.from({ length: AT_ONCE }, one));
  } finally {
    await submitter.close(0);
  }
}

function ended(tracker: Tracker, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      stop.removeEventListener("abort", end);
      resolve();
    };
    stop.addEventListener("abort", end, { once: true });
    tracker.onEnd(end);
    if (stop.aborted) end();
  });
}
