import { fmtCreds, fromSeed, parseCreds as libraryParse } from "@nats-io/jwt";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ParleyError } from "../../../contracts/failure.ts";
import { formatCreds, parseCreds } from "../../../mesh/nats/identity/creds.ts";
import { mintUserJwt } from "../../../mesh/nats/identity/jwt.ts";
import { generateKey } from "../../../mesh/nats/identity/keys.ts";

async function someCreds() {
  const user = generateKey("user");
  const jwt = await mintUserJwt(
    {
      name: "alice",
      publicKey: user.publicKey,
      account: generateKey("account").publicKey,
    },
    generateKey("account"),
  );
  return { jwt, seed: user.seed };
}

describe("creds files", () => {
  it("survive a round trip, also with the line ends of Windows", async () => {
    const creds = await someCreds();
    expect(parseCreds(formatCreds(creds))).toEqual(creds);
    expect(parseCreds(formatCreds(creds).replaceAll("\n", "\r\n"))).toEqual(creds);
  });

  it("are read by the library, and the library's by us", async () => {
    const creds = await someCreds();
    expect(await libraryParse(Buffer.from(formatCreds(creds)))).toMatchObject({
      jwt: creds.jwt,
      key: creds.seed,
    });
    expect(parseCreds(fmtCreds(creds.jwt, fromSeed(Buffer.from(creds.seed))))).toEqual(creds);
  });

  it("refuse anything else with advice", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(() => parseCreds(text)).toThrow(ParleyError);
      }),
    );
    expect(() =>
      parseCreds("-----BEGIN NATS USER JWT-----\nx\n------END NATS USER JWT------"),
    ).toThrow(/parley identity add/);
  });
});
