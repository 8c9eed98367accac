// `parley provision`: streams and buckets on a server of one's own, made or checked.
import { type Command, Option } from "commander";
import { withExamples } from "../lib/examples.ts";
import { provisionOn } from "../lib/provision.ts";
import { session, withInspector } from "../lib/session.ts";

interface Options {
  replicas?: string;
  audit: boolean;
}

export function registerProvision(parley: Command): void {
  withExamples(
    parley
      .command("provision")
      .description("make or check the streams of a mesh on a server of yours; safe to repeat")
      .addOption(
        new Option(
          "--replicas <n>",
          "copies of everything, on as many servers (default: as many as there are, else 1)",
        ).choices(["1", "3", "5"]),
      )
      .option("--no-audit", "keep no second copy of every record for audits")
      .action((_options: Options, command: Command) => provision(command)),
    "parley provision --server nats://10.0.0.7:4222",
    "parley provision --server nats://a:4222,nats://b:4222,nats://c:4222 --replicas 3",
  );
}

async function provision(command: Command): Promise<void> {
  const s = session<Options>(command);
  const { replicas, audit } = s.options;
  const wanted = { audit, ...(replicas === undefined ? {} : { replicas: Number(replicas) }) };
  const done: string[] = [];
  const { servers, up } = await withInspector(s, "admin", async (mesh, target) => {
    await provisionOn(mesh, target, wanted, (line) => {
      done.push(line);
      if (!s.out.json) s.out.text(line);
    });
    return target;
  });
  if (s.out.json) return s.out.document({ done });
  if (up === undefined) s.out.note(`next: parley up --server ${servers.join(",")}`);
}
