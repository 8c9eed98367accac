import type { Scenario } from "../scenario.ts";
import { scenario as cluster } from "./cluster.ts";
import { scenario as cut } from "./cut.ts";
import { crash, hang } from "./detect.ts";
import { scenario as diskFull } from "./disk-full.ts";
import { scenario as half } from "./half.ts";
import { scenario as heal } from "./heal.ts";
import { scenario as hostile } from "./hostile.ts";
import { scenario as initiator } from "./initiator.ts";
import { scenario as kill } from "./kill.ts";
import { scenario as mix } from "./mix.ts";
import { scenario as oneWay } from "./one-way.ts";
import { scenario as poison } from "./poison.ts";
import { scenario as powerCut } from "./power-cut.ts";
import { scenario as powerCut3 } from "./power-cut-3.ts";
import { scenario as reorder } from "./reorder.ts";
import { scenario as serverKill } from "./server-kill.ts";
import { scenario as slowConsumer } from "./slow-consumer.ts";
import { scenario as stall } from "./stall.ts";
import { scenario as storm } from "./storm.ts";
import { scenario as workflow } from "./workflow.ts";
import { scenario as zombie } from "./zombie.ts";

export const SCENARIOS: readonly Scenario[] = [
  kill,
  crash,
  hang,
  zombie,
  initiator,
  serverKill,
  stall,
  half,
  poison,
  workflow,
  mix,
  powerCut,
  diskFull,
  cut,
  oneWay,
  reorder,
  slowConsumer,
  heal,
  cluster,
  powerCut3,
  storm,
  hostile,
];
