// Artefacts: content too large for a record, written once under a random id in the object store's
// own layout (one object a part, one chunk an object), so that `nats object ls` lists it.
//
// Whoever may fetch one artefact may fetch any: the server answers a direct get for `*` too. So
// content is sealed with a key of its own that travels in the reference, inside the record.
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import {
  ARTEFACT_BYTES_MAX,
  ARTEFACT_MS_MAX,
  ARTEFACTS_BUCKET,
  FENCE_HEADER,
  ParleyError,
  type Reference,
} from "../../contracts/index.ts";
import type { Artefacts, Random } from "../ports/index.ts";
import type { Link } from "./link.ts";

/** One part, bytes: half the server's default max_payload. */
const PART_BYTES = 512 * 1024;
const TIMEOUT_MS = 10_000;
/** Least time that one is kept, ms: clocks differ, and people look at results later. */
const KEPT_MS_MIN = 7 * 24 * 3_600_000;

/** The server's code for a stream that takes no TTL of a message. */
const NO_TTL = 10166;

const IV_BYTES = 12;
const TAG_BYTES = 16;

function seal(content: Uint8Array, key: Uint8Array, iv: Uint8Array): Buffer {
  const cipher = createCipheriv("aes-256-gcm", key, iv);
  return Buffer.concat([iv, cipher.update(content), cipher.final(), cipher.getAuthTag()]);
}

function unseal(sealed: Uint8Array, key: Uint8Array): Buffer {
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, IV_BYTES));
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  const body = sealed.subarray(IV_BYTES, sealed.length - TAG_BYTES);
  return Buffer.concat([decipher.update(body), decipher.final()]);
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("base64url");
}

export class NatsArtefacts implements Artefacts {
  readonly #transport: Link;
  readonly #random: Random;
  readonly #secret: (length: number) => Buffer;

  /** @param secret unpredictable bytes, for keys; the simulator's come from its seed */
  constructor(
    transport: Link,
    random: Random,
    secret: (length: number) => Buffer = (length) => randomBytes(length),
  ) {
    this.#transport = transport;
    this.#random = random;
    this.#secret = secret;
  }

  async put(content: Uint8Array, keepMs: number): Promise<Reference> {
    if (content.length > ARTEFACT_BYTES_MAX) {
      throw new ParleyError(
        "E_TOO_LARGE",
        `${content.length} bytes; an artefact holds at most ${ARTEFACT_BYTES_MAX}`,
      );
    }
    const key = this.#secret(32);
    const bytes = seal(content, key, this.#secret(IV_BYTES));
    const id = this.#random.id();
    const parts = Math.max(1, Math.ceil(bytes.length / PART_BYTES));
    for (let i = 0; i < parts; i++) {
      const part = bytes.subarray(i * PART_BYTES, (i + 1) * PART_BYTES);
      const forMs = Math.max(KEPT_MS_MIN, keepMs);
      await this.#store(`$O.${ARTEFACTS_BUCKET}.C.${id}-${i}`, part, forMs);
      await this.#store(metaSubject(`${id}-${i}`), meta(`${id}-${i}`, part), forMs);
    }
    return {
      $ref: `${ARTEFACTS_BUCKET}/${id}`,
      bytes: bytes.length,
      parts,
      sha256: sha256(bytes),
      key: key.toString("base64url"),
    };
  }

  /** @param keepMs 0: for as long as the stream keeps what says nothing */
  async #store(subject: string, data: Uint8Array, keepMs: number): Promise<void> {
    const keptMs = Math.min(ARTEFACT_MS_MAX, keepMs);
    const ttl = { "Nats-TTL": `${Math.ceil(keptMs / 1_000)}s` };
    const headers = { [FENCE_HEADER]: "0", ...(keepMs > 0 ? ttl : {}) };
    const m = await this.#transport.ask(subject, data, { timeoutMs: TIMEOUT_MS, headers });
    const ack = JSON.parse(Buffer.from(m.data).toString()) as {
      error?: { err_code?: number; description?: string };
    };
    // A mesh that an older version made: it is kept for as long as the stream says.
    if (ack.error?.err_code === NO_TTL && keepMs > 0) return this.#store(subject, data, 0);
    if (ack.error !== undefined) {
      throw new ParleyError("E_ARTEFACT", `not stored: ${ack.error.description}`);
    }
  }

  async get(ref: Reference): Promise<Uint8Array> {
    if (ref.bytes > ARTEFACT_BYTES_MAX + IV_BYTES + TAG_BYTES) {
      throw new ParleyError("E_TOO_LARGE", `an artefact of ${ref.bytes} bytes is not fetched`);
    }
    const id = ref.$ref.slice(ARTEFACTS_BUCKET.length + 1);
    const parts: Uint8Array[] = [];
    for (let i = 0; i < ref.parts; i++) {
      const subject = `$O.${ARTEFACTS_BUCKET}.C.${id}-${i}`;
      const m = await this.#transport.request(
        `$JS.API.DIRECT.GET.OBJ_${ARTEFACTS_BUCKET}.${subject}`,
        new Uint8Array(0),
        { timeoutMs: TIMEOUT_MS },
      );
      if (m.status === 404) {
        throw new ParleyError("E_ARTEFACT", `${ref.$ref} is not (any more) in the object store`);
      }
      parts.push(m.data);
    }
    const bytes = Buffer.concat(parts);
    if (bytes.length !== ref.bytes || sha256(bytes) !== ref.sha256) {
      throw new ParleyError("E_ARTEFACT", `${ref.$ref} is not what its digest says: refused`);
    }
    try {
      return unseal(bytes, Buffer.from(ref.key, "base64url"));
    } catch (cause) {
      throw new ParleyError("E_ARTEFACT", `${ref.$ref} cannot be opened with its key`, { cause });
    }
  }
}

function metaSubject(name: string): string {
  return `$O.${ARTEFACTS_BUCKET}.M.${Buffer.from(name).toString("base64url")}`;
}

/** Object metadata as the object store's readers expect it (ADR-20). */
function meta(name: string, part: Uint8Array): Uint8Array {
  return Buffer.from(
    JSON.stringify({
      name,
      bucket: ARTEFACTS_BUCKET,
      nuid: name,
      size: part.length,
      chunks: 1,
      digest: `SHA-256=${Buffer.from(sha256(part), "base64url")
        .toString("base64")
        .replaceAll("+", "-")
        .replaceAll("/", "_")}`,
      options: { max_chunk_size: PART_BYTES },
    }),
  );
}
