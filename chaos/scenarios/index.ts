import type { Scenario } from "../scenario.ts";
import { scenario as kill } from "./kill.ts";

export const SCENARIOS: readonly Scenario[] = [kill];
