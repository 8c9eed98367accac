// How a connection proves who it is: the server's nonce signed by node:crypto. With the library's
// own authenticators a thousand reconnecting clients spend seconds of CPU on key derivation and
// miss the server's authentication timeout.
import type { Authenticator } from "@nats-io/nats-core";
import type { Creds } from "./creds.ts";
import { type KeyPair, keyFromSeed } from "./keys.ts";

function signNonce(key: KeyPair, nonce: string | undefined): string {
  return Buffer.from(key.sign(Buffer.from(nonce ?? "", "utf8"))).toString("base64url");
}

/**
 * For a `.creds` identity. Pass a function to have renewed credentials picked up by the next
 * reconnect; it is called once per connection attempt.
 * @throws ParleyError E_IDENTITY, at once and not while connecting, when the seed is none.
 */
export function credsAuth(source: Creds | (() => Creds)): Authenticator {
  const current = typeof source === "function" ? source : () => source;
  let creds = current();
  let key = keyFromSeed(creds.seed);
  return (nonce?: string) => {
    const next = current();
    if (next.seed !== creds.seed) key = keyFromSeed(next.seed);
    creds = next;
    return { jwt: creds.jwt, nkey: key.publicKey, sig: signNonce(key, nonce) };
  };
}

/** For a static user: a bare NKey (static-users.ts). */
export function nkeyAuth(seed: string | Uint8Array | KeyPair): Authenticator {
  const key = typeof seed === "string" || seed instanceof Uint8Array ? keyFromSeed(seed) : seed;
  return (nonce?: string) => ({ nkey: key.publicKey, sig: signNonce(key, nonce) });
}
