// Texts that are kept longer than the message that they came in.

/** A copy of an ASCII text: one cut out of a message keeps all of the message's text alive. */
export function detached(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}
