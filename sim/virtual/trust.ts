// Identities of a simulated world: real Ed25519 keys, drawn from its seed, and a keyring by which
// everybody knows everybody's.
import { createHash } from "node:crypto";
import type { Role } from "../../contracts/index.ts";
import { keyFromSeed, verifySignature } from "../../mesh/nats/identity/keys.ts";
import { encodeSeed } from "../../mesh/nats/identity/nkey.ts";
import type { Principal, Signer, Trust } from "../../mesh/ports/index.ts";

/** The key of a name in the world of this seed: the same one every time. Protects nothing. */
export function keyOf(seed: string | number, name: string): Signer {
  const raw = createHash("sha256").update(`parley virtual key/${seed}/${name}`).digest();
  return keyFromSeed(encodeSeed("user", raw));
}

export class VirtualTrust implements Trust {
  readonly #known = new Map<string, Principal>();

  /** From here on everybody knows this principal. */
  add(name: string, publicKey: string, role: Role, capabilities: readonly string[]): void {
    this.#known.set(name, { name, publicKey, role, capabilities });
  }

  principal(name: string): Principal | undefined {
    return this.#known.get(name);
  }

  verify(publicKey: string, data: Uint8Array, signature: Uint8Array): boolean {
    return verifySignature(publicKey, data, signature);
  }
}
