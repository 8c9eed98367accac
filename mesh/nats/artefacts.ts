// Artefacts: content too large for a record, written once under a random id in the object store's
// own layout (one object a part, one chunk an object), so that `nats object ls|get` read it too.
import { createHash } from "node:crypto";
import {
  ARTEFACTS_BUCKET, ARTEFACT_BYTES_MAX, ParleyError, type Reference,
} from "../../contracts/index.ts";
import type { Artefacts, Random } from "../ports/index.ts";
import type { NatsTransport } from "./transport.ts";
import { toHeaders } from "./transport.ts";

/** One part, bytes: half the server's default max_payload. */
const PART_BYTES = 512 * 1024;
const TIMEOUT_MS = 10_000;

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("base64url");
}

export class NatsArtefacts implements Artefacts {
  readonly #transport: NatsTransport;
  readonly #random: Random;

  constructor(transport: NatsTransport, random: Random) {
    this.#transport = transport;
    this.#random = random;
  }

  async put(bytes: Uint8Array): Promise<Reference> {
    if (bytes.length > ARTEFACT_BYTES_MAX) {
      throw new ParleyError("E_TOO_LARGE",
        `${bytes.length} bytes; an artefact holds at most ${ARTEFACT_BYTES_MAX}`);
    }
    const id = this.#random.id();
    const parts = Math.max(1, Math.ceil(bytes.length / PART_BYTES));
    for (let i = 0; i < parts; i++) {
      const part = bytes.subarray(i * PART_BYTES, (i + 1) * PART_BYTES);
      await this.#store(`$O.${ARTEFACTS_BUCKET}.C.${id}-${i}`, part);
      await this.#store(metaSubject(`${id}-${i}`), meta(`${id}-${i}`, part));
    }
    return { $ref: `${ARTEFACTS_BUCKET}/${id}`, bytes: bytes.length, parts, sha256: sha256(bytes) };
  }

  async #store(subject: string, data: Uint8Array): Promise<void> {
    const headers = toHeaders({ "Nats-Expected-Last-Subject-Sequence": "0" });
    const m = await this.#transport.connection.request(subject, data, {
      timeout: TIMEOUT_MS, headers,
    });
    const ack = m.json<{ error?: { description?: string } }>();
    if (ack.error !== undefined) {
      throw new ParleyError("E_ARTEFACT", `not stored: ${ack.error.description}`);
    }
  }

  async get(ref: Reference): Promise<Uint8Array> {
    if (ref.bytes > ARTEFACT_BYTES_MAX) {
      throw new ParleyError("E_TOO_LARGE", `an artefact of ${ref.bytes} bytes is not fetched`);
    }
    const id = ref.$ref.slice(ARTEFACTS_BUCKET.length + 1);
    const parts: Uint8Array[] = [];
    for (let i = 0; i < ref.parts; i++) {
      const subject = `$O.${ARTEFACTS_BUCKET}.C.${id}-${i}`;
      const m = await this.#transport.request(
        `$JS.API.DIRECT.GET.OBJ_${ARTEFACTS_BUCKET}.${subject}`, new Uint8Array(0),
        { timeoutMs: TIMEOUT_MS });
      if (m.status === 404) {
        throw new ParleyError("E_ARTEFACT", `${ref.$ref} is not (any more) in the object store`);
      }
      parts.push(m.data);
    }
    const bytes = Buffer.concat(parts);
    if (bytes.length !== ref.bytes || sha256(bytes) !== ref.sha256) {
      throw new ParleyError("E_ARTEFACT", `${ref.$ref} is not what its digest says: refused`);
    }
    return bytes;
  }
}

function metaSubject(name: string): string {
  return `$O.${ARTEFACTS_BUCKET}.M.${Buffer.from(name).toString("base64url")}`;
}

/** Object metadata as the object store's readers expect it (ADR-20). */
function meta(name: string, part: Uint8Array): Uint8Array {
  return Buffer.from(JSON.stringify({
    name, bucket: ARTEFACTS_BUCKET, nuid: name, size: part.length, chunks: 1,
    digest: `SHA-256=${Buffer.from(sha256(part), "base64url").toString("base64")
      .replaceAll("+", "-").replaceAll("/", "_")}`,
    options: { max_chunk_size: PART_BYTES },
  }));
}
