// Header names of records and cards on the wire. Those that begin with `Nats-` are the server's.

/** `<time>.<signature>`, see mesh/runtime/signing.ts. */
export const SIGNATURE_HEADER = "Mesh-Sig";
/** 128 random bits: the signature's nonce, and what the server knows repeats by. */
export const NONCE_HEADER = "Nats-Msg-Id";
/** The revision that a write must follow, under the subjects that the guard names. */
export const FENCE_HEADER = "Nats-Expected-Last-Subject-Sequence";
export const GUARD_HEADER = "Nats-Expected-Last-Subject-Sequence-Subject";
