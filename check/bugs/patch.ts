// A planted bug: exact replacements in source text. Nothing of it is in the product.
import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import type { Story } from "./stories.ts";

export interface Patch {
  /** Path inside the repository, with forward slashes. */
  file: string;
  /** Must occur exactly once, so that a bug does not rot when the code moves on. */
  find: string;
  replace: string;
}

export interface Bug {
  name: string;
  /** What somebody got wrong, in one sentence. */
  about: string;
  patches: readonly Patch[];
  /** Any of these may be what the checker names. */
  invariants: readonly string[];
  /** Stories of the arena that bring it out. */
  hunt: readonly Story[];
}

export const ROOT = join(import.meta.dirname, "..", "..");

/** @throws Error when the text to be replaced is not there exactly once */
export function applyPatch(source: string, patch: Patch, bug: string): string {
  const places = source.split(patch.find).length - 1;
  if (places !== 1) {
    throw new Error(
      `planted bug "${bug}": its text occurs ${places} times in ${patch.file}, once is needed; ` +
        `adapt it in check/bugs: ${JSON.stringify(patch.find)}`,
    );
  }
  return source.replace(patch.find, () => patch.replace);
}

/** The files of a bug as they would be loaded. @throws Error when one does not apply or parse */
export function patched(bug: Bug): Map<string, string> {
  const texts = new Map<string, string>();
  for (const patch of bug.patches) {
    const before = texts.get(patch.file) ?? readFileSync(join(ROOT, patch.file), "utf8");
    texts.set(patch.file, applyPatch(before, patch, bug.name));
  }
  for (const [file, text] of texts) {
    try {
      stripTypeScriptTypes(text);
    } catch (error) {
      throw new Error(`planted bug "${bug.name}": ${file} no longer parses: ${error}`);
    }
  }
  return texts;
}
