// What a signature covers: subject, fence, time, nonce and body (architecture section 7).
//
// The text that is signed is `parley1 LF subject LF fence LF time LF nonce LF` followed by the
// body's exact bytes, so nothing needs a canonical form. Its SHA-256 is the record's digest: the
// link that the next record of the task names as `prev`.
import { hash } from "node:crypto";

export interface Sealed {
  /** Milliseconds since the epoch, on the signer's clock. */
  at: number;
  signature: Uint8Array;
}

export function preimage(
  subject: string,
  fence: number,
  at: number,
  nonce: string,
  body: Uint8Array,
): Buffer {
  const head = `parley1\n${subject}\n${fence}\n${at}\n${nonce}\n`;
  const out = Buffer.allocUnsafe(head.length + body.length);
  out.write(head, 0, "latin1");
  out.set(body, head.length);
  return out;
}

/** A text counts as its UTF-8 bytes. */
export function digest(bytes: Uint8Array | string): string {
  return hash("sha256", bytes, "base64url");
}

/** `<time>.<signature>`; with signing off the signature part is empty. */
export function sealText(at: number, signature: Uint8Array | undefined): string {
  return `${at}.${signature === undefined ? "" : Buffer.from(signature).toString("base64url")}`;
}

export function parseSeal(text: string | undefined): Sealed | undefined {
  if (text === undefined) return undefined;
  const dot = text.indexOf(".");
  if (dot < 1) return undefined;
  const at = Number(text.slice(0, dot));
  if (!Number.isSafeInteger(at) || at < 0) return undefined;
  return { at, signature: Buffer.from(text.slice(dot + 1), "base64url") };
}

export const SIGNATURE_BYTES = 64;
