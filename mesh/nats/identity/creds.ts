// A `.creds` file: a user JWT and its seed, in the text form that every NATS client and the `nats`
// CLI take.
import { ParleyError } from "../../../contracts/failure.ts";

export interface Creds {
  jwt: string;
  /** `SU…`: a secret. */
  seed: string;
}

/** One armoured block; the closing line has six dashes in files by nsc, five elsewhere. */
const BLOCK = /-{3,}[^\n-]*-{3,}[ \t\r]*\n\s*(\S+)\s*\n\s*-{3,}[^\n-]*-{3,}/g;

/** @throws ParleyError E_IDENTITY when the text is no creds file. */
export function parseCreds(text: string | Uint8Array): Creds {
  const source = typeof text === "string" ? text : Buffer.from(text).toString("utf8");
  const [jwt, seed] = Array.from(source.matchAll(BLOCK), (match) => match[1]);
  if (jwt === undefined || seed === undefined || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(jwt)) {
    throw new ParleyError(
      "E_IDENTITY",
      "this is no creds file: expected a NATS USER JWT block, then a USER NKEY SEED block; " +
        "make one with: parley identity add NAME --role ROLE",
    );
  }
  return { jwt, seed };
}

export function formatCreds({ jwt, seed }: Creds): string {
  return `-----BEGIN NATS USER JWT-----
${jwt}
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.
NKEYs are sensitive and should be treated as secrets.

-----BEGIN USER NKEY SEED-----
${seed}
------END USER NKEY SEED------

*************************************************************
`;
}
