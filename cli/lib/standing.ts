// Identities that Parley itself keeps in a mesh's folder, made when they are first needed. They
// stay the same from run to run, so that what they signed can be proven later.
import { setTimeout as pause } from "node:timers/promises";
import type { Role } from "../../contracts/roles.ts";
import { type Creds, parseCreds } from "../../mesh/nats/identity/creds.ts";
import { readIfThere } from "../../mesh/nats/identity/files.ts";
import { addIdentity, homeFiles, openHome } from "../../mesh/nats/identity/home.ts";

export interface Standing {
  name: string;
  role: Role;
  /** What it is for, in `parley up`. */
  use: string;
}

export const STANDING = {
  admin: { name: "operator", role: "admin", use: "may do everything" },
  submit: { name: "cli", role: "submitter", use: "may submit and call, sees its own tasks" },
  read: { name: "observer", role: "observer", use: "may read everything, changes nothing" },
  steward: { name: "steward", role: "agent", use: "parley up: doors and initiator" },
  janitor: { name: "janitor", role: "admin", use: "parley up: removes finished tasks" },
} as const satisfies Record<string, Standing>;

export type Purpose = "admin" | "submit" | "read";

const TRIES = 40;
const PAUSE_MS = 50;

/**
 * Its credentials; they are made and noted in the folder when there are none.
 * @throws ParleyError E_IDENTITY when the folder holds no keys to make them with.
 */
export async function standingCreds(dir: string, who: Standing): Promise<Creds> {
  const path = homeFiles(dir).credsOf(who.name);
  for (let tries = 1; ; tries++) {
    const text = await readIfThere(path);
    if (text !== undefined) return parseCreds(text);
    try {
      await addIdentity(await openHome(dir), { name: who.name, role: who.role });
    } catch (error) {
      // Another process may be at it: the name is taken a moment before the file is there.
      if (tries >= TRIES) throw error;
      await pause(PAUSE_MS);
    }
  }
}
