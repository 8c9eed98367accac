// Stored definitions of workflows: each version is written once, under its author's name.
import { isToken, ParleyError, RECORD_BYTES_MAX, type Workflow } from "../contracts/index.ts";
import type { Bucket } from "../mesh/ports/index.ts";
import { jsonOf } from "./bucket-entry.ts";
import { readWorkflow } from "./read-workflow.ts";

export interface StoredDefinition {
  /** `ann.report`. */
  name: string;
  version: string;
}

export class Definitions {
  readonly #bucket: Bucket;
  readonly #principal: string;

  constructor(bucket: Bucket, principal: string) {
    this.#bucket = bucket;
    this.#principal = principal;
  }

  /**
   * Stores a version for good; gives the name by which it is used.
   * @throws ParleyError E_SCHEMA with all problems; E_FENCED when that version is there
   */
  async put(value: unknown): Promise<string> {
    const definition = readWorkflow(value);
    const { name, version } = definition;
    const bytes = Buffer.from(JSON.stringify(definition));
    if (bytes.length > RECORD_BYTES_MAX) {
      const most = `${RECORD_BYTES_MAX} is the most; submit it with its input instead`;
      throw new ParleyError("E_TOO_LARGE", `a definition of ${bytes.length} bytes; ${most}`);
    }
    const key = `${this.#principal}.${name}.${version.replaceAll(".", "_")}`;
    try {
      await this.#bucket.put(key, bytes);
    } catch (error) {
      if (!(error instanceof ParleyError) || error.code !== "E_FENCED") throw error;
      const text = `version ${version} of "${name}" is stored already: give it the next version`;
      throw new ParleyError("E_FENCED", text, { cause: error });
    }
    return `${this.#principal}.${name}@${version}`;
  }

  /**
   * @param use `ann.report`: what was stored last; `ann.report@1.2.0`
   * @throws ParleyError E_NOT_FOUND; E_NOT_UNDERSTOOD, E_SCHEMA for what is no sound definition
   */
  async get(use: string): Promise<Workflow> {
    const [name = "", version] = use.split("@");
    const parts = name.split(".");
    if (parts.length !== 2 || !parts.every(isToken)) {
      throw new ParleyError(
        "E_SCHEMA",
        `"${use}" is no name: write ann.report or ann.report@1.2.0`,
      );
    }
    const entry = await this.#bucket.get(`${name}.${version?.replaceAll(".", "_") ?? "*"}`);
    if (entry?.value === undefined) {
      throw new ParleyError("E_NOT_FOUND", `no workflow "${use}" is stored`);
    }
    return readWorkflow(jsonOf(entry, "workflows"));
  }

  async list(): Promise<StoredDefinition[]> {
    return (await this.#bucket.list(">")).map(({ key }) => {
      const [principal = "", name = "", version = ""] = key.split(".");
      return { name: `${principal}.${name}`, version: version.replaceAll("_", ".") };
    });
  }
}
