// `parley agents`: who is here, from the signed cards in the registry.
import type { Command } from "commander";
import type { AgentCard } from "../../contracts/card.ts";
import { address } from "../../contracts/ids.ts";
import type { Requirements } from "../../contracts/spec.ts";
import { attributesOf, meets } from "../../mesh/core/match.ts";
import { CliError } from "../lib/errors.ts";
import { withExamples } from "../lib/examples.ts";
import { requirement, token } from "../lib/parse.ts";
import { session, withInspector } from "../lib/session.ts";

interface Options {
  cap?: string;
  attr?: Requirements;
  all?: boolean;
}

export function registerAgents(parley: Command): void {
  withExamples(
    parley
      .command("agents")
      .description("agents that are here, from their signed cards")
      .option("--cap <capability>", "only those that offer it", token("capability"))
      .option(
        "--attr <k=v>",
        "only those with it: region=eu, region=eu|us, memory>=16",
        requirement,
      )
      .option("--all", "also peers that offer nothing themselves")
      .action(async (_options: Options, command: Command) => agents(command)),
    "parley agents",
    "parley agents --cap summarize --attr 'region=eu|us' --attr 'memory>=16'",
    "parley agents --json | jq -r '.[].capabilities[].name'",
  );
}

async function agents(command: Command): Promise<void> {
  const s = session<Options>(command);
  const { cap, attr, all } = s.options;
  await withInspector(s, "read", async (mesh) => {
    const cards = await mesh.readCards();
    const offering = cards.filter((card) => all === true || card.capabilities.length > 0);
    const found = offering.filter((card) => fits(card, cap, attr)).sort(byAddress);
    const refused = mesh.counters.get("refused.card");
    if (refused > 0) s.out.warn(`${refused} cards cannot be proven and are left out`);
    if (found.length === 0 && (cap !== undefined || attr !== undefined)) {
      throw new CliError(
        "E_NOT_FOUND",
        `none of ${offering.length} agents ${cap === undefined ? "fits" : `offers "${cap}"`}` +
          `${attr !== undefined && cap !== undefined ? " with those attributes" : ""}`,
        { next: "parley caps    (what the agents offer)" },
      );
    }
    if (s.out.json) return s.out.document(found.map(shown));
    if (found.length > 0) {
      s.out.table(["AGENT", "CAPABILITIES", "SLOTS", "ATTRIBUTES"], found.map(row));
    }
    const peers = cards.length - offering.length;
    s.out.note(
      `${found.length} agents` +
        (peers > 0 ? `, and ${peers} peers that offer nothing themselves (--all)` : ""),
    );
  });
}

function fits(card: AgentCard, cap: string | undefined, attr: Requirements | undefined): boolean {
  const offered = card.capabilities.filter((c) => cap === undefined || c.name === cap);
  if (cap !== undefined && offered.length === 0) return false;
  return (
    meets(attr, card.attributes) ||
    offered.some((c) => meets(attr, attributesOf(card.attributes, c)))
  );
}

function byAddress(a: AgentCard, b: AgentCard): number {
  return address(a.principal, a.agent) < address(b.principal, b.agent) ? -1 : 1;
}

function shown(card: AgentCard): object {
  const { jwt: _, ...rest } = card;
  return { address: address(card.principal, card.agent), ...rest };
}

function row(card: AgentCard): string[] {
  const attributes = Object.entries(card.attributes ?? {}).map(([k, v]) => `${k}=${v}`);
  return [
    address(card.principal, card.agent),
    card.capabilities.map((c) => `${c.name}@${c.version}`).join(",") || "-",
    String(card.slots),
    attributes.join(" ") || "-",
  ];
}
