// Credentials in a file of an operator's, who may write it anew while the agent runs
// (`parley identity renew`): for longer, or for more capabilities.
import { readFileSync } from "node:fs";
import { type Creds, parseCreds } from "./creds.ts";

export class CredsFile {
  readonly #path: string | undefined;
  #creds: Creds;

  /** @param path undefined: they are in no file, and stay as they are */
  constructor(path: string | undefined, creds: Creds) {
    this.#path = path;
    this.#creds = creds;
  }

  /** As the file has them now; as they were where it cannot be read, or is for another key: what
   * was signed so far is proven by this one. */
  read(): Creds {
    try {
      const now =
        this.#path === undefined ? undefined : parseCreds(readFileSync(this.#path, "utf8"));
      if (now?.seed === this.#creds.seed) this.#creds = now;
    } catch {
      // Half written, or gone: the next connection looks again.
    }
    return this.#creds;
  }
}
