// Award policies by name: the five, and those that the user gave to this initiator.
import { NAMED, NEAR_EQUAL, type Policy } from "../core/policy.ts";
import { digest } from "./signing.ts";

export class Policies {
  #policies = new Map<string, { policy: Policy; hash: string }>();

  constructor(own: Readonly<Record<string, Policy>> = {}) {
    for (const [name, policy] of Object.entries({ ...NAMED, ...own })) {
      const text = `${name} ${NEAR_EQUAL} ${policy.toString()}`;
      this.#policies.set(name, { policy, hash: digest(Buffer.from(text)) });
    }
  }

  get(name: string): Policy | undefined {
    return this.#policies.get(name)?.policy;
  }

  /** SHA-256 of the policy's source: tells two initiators' `balanced` apart after an upgrade. */
  hash(name: string): string {
    return this.#policies.get(name)?.hash ?? "";
  }
}
