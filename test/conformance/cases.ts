import { LEDGER } from "./ledger.ts";
import { LINKS } from "./links.ts";
import { MESSAGES } from "./messages.ts";
import type { Case } from "./stage.ts";
import { CARDS, SUPERVISION } from "./supervision.ts";

export const CASES: Readonly<Record<string, readonly Case[]>> = {
  messages: MESSAGES,
  ledger: LEDGER,
  supervision: SUPERVISION,
  cards: CARDS,
  links: LINKS,
};
