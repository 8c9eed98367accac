// Plants one bug while modules load: `PARLEY_BUG=<name> node --import ./check/bugs/register.ts …`.
// Does nothing without the variable. Works in worker processes too, given as an `--import`.
import { registerHooks } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { bugNamed } from "./list.ts";
import { applyPatch, patched, ROOT } from "./patch.ts";

const name = process.env.PARLEY_BUG;
if (name !== undefined && name !== "" && name !== "none") plant(name);

function plant(name: string): void {
  const bug = bugNamed(name);
  // All of it or nothing: a bug that half applies proves nothing.
  patched(bug);
  const byUrl = new Map<string, typeof bug.patches>();
  for (const patch of bug.patches) {
    const url = pathToFileURL(join(ROOT, patch.file)).href;
    byUrl.set(url, [...(byUrl.get(url) ?? []), patch]);
  }
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const patches = byUrl.get(url);
      if (patches === undefined) return loaded;
      const { source } = loaded;
      if (source === undefined || source === null) {
        throw new Error(`planted bug "${name}": ${url} was loaded without its text`);
      }
      let text = typeof source === "string" ? source : Buffer.from(source as Uint8Array).toString();
      for (const patch of patches) text = applyPatch(text, patch, name);
      return { ...loaded, source: text };
    },
  });
}
