import type { Role } from "../../contracts/index.ts";

export interface Signer {
  /** NKey of the public half. */
  readonly publicKey: string;
  sign(data: Uint8Array): Uint8Array;
}

/** What is known of a principal, with proof checked. */
export interface Principal {
  name: string;
  publicKey: string;
  role: Role;
  capabilities: readonly string[];
}

/** Tells whether a principal is what it says. Never throws. */
export interface Trust {
  /**
   * From its user JWT (undefined with static users, where a keyring decides).
   * @param at when it was used, ms since the epoch: judges expiry. Default: now
   */
  principal(name: string, jwt: string | undefined, at?: number): Principal | undefined;
  verify(publicKey: string, data: Uint8Array, signature: Uint8Array): boolean;
}
