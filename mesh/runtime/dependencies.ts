// What the parts of one peer share.
import type { Clock, History, Ledger, Log, Random, Transport } from "../ports/index.ts";
import type { OwnAwards } from "./awards.ts";
import type { ClockAlarm } from "./clock-alarm.ts";
import type { Counters } from "./counters.ts";
import type { Fields } from "./fields.ts";
import type { Identities } from "./identities.ts";
import type { Inbound } from "./inbound.ts";
import type { Records } from "./records.ts";
import type { Registry } from "./registry.ts";

export interface Deps {
  transport: Transport;
  ledger: Ledger;
  clock: Clock;
  random: Random;
  log: Log;
  /** Absent: nothing is recorded. */
  history: History | undefined;
  counters: Counters;
  inbound: Inbound;
  identities: Identities;
  records: Records;
  registry: Registry;
  fields: Fields;
  clocks: ClockAlarm;
  ownAwards: OwnAwards;
}
