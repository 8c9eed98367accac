// `parley trigger …`: what begins tasks by itself, and events.
import type { Command } from "commander";
import type { StoredTrigger, When } from "../../contracts/index.ts";
import { withExamples } from "../lib/examples.ts";
import { readInput, readJsonFile } from "../lib/input.ts";
import { orInterrupted } from "../lib/interrupt.ts";
import { timeText } from "../lib/output.ts";
import { token } from "../lib/parse.ts";
import { logTo, type Session, session, withSubmitter } from "../lib/session.ts";

type Triggers = import("../../agent-sdk/triggers.ts").Triggers;

export function registerTrigger(parley: Command): void {
  const trigger = withExamples(
    parley
      .command("trigger")
      .description("tasks that begin by themselves: at a moment, by cron, on an event"),
    "parley trigger put nightly.json",
    "parley trigger serve",
    `parley trigger emit orders.created '{"id":7}'`,
  );
  withExamples(
    trigger
      .command("put <file>")
      .description("store a trigger of yours, or change it; - for a pipe")
      .action((file: string, _o: object, command: Command) => put(command, file)),
    `echo '{"name":"nightly","when":{"cron":"0 3 * * *"},"capability":"report"}' | ` +
      "parley trigger put -",
  );
  withExamples(
    trigger
      .command("ls")
      .description("your triggers, and when each is due next")
      .option("--all", "those of everybody")
      .action((_o: object, command: Command) => ls(command)),
    "parley trigger ls",
  );
  withExamples(
    trigger
      .command("rm <name>")
      .description("remove a trigger; tasks that it began go on")
      .action((name: string, _o: object, command: Command) => rm(command, name)),
    "parley trigger rm nightly",
  );
  withExamples(
    trigger
      .command("serve")
      .description("submit what your triggers ask for, until Ctrl-C; more than one may do so")
      .action((_o: object, command: Command) => serve(command)),
    "parley trigger serve",
  );
  withExamples(
    trigger
      .command("emit <topic> [data]")
      .description("tell that something happened; data is JSON")
      .action((topic: string, data: string | undefined, _o: object, command: Command) =>
        emit(command, topic, data),
      ),
    `parley trigger emit orders.created '{"id":7}'`,
    `nats pub mesh.event.orders.created '{"id":7}'`,
  );
}

async function withTriggers(
  s: Session<unknown>,
  work: (triggers: Triggers, principal: string) => Promise<void>,
): Promise<void> {
  const { Triggers } = await import("../../agent-sdk/triggers.ts");
  const { taskOptions } = await import("../../agent-sdk/options.ts");
  await withSubmitter(s, (peer, { buckets, events }) => {
    const { principal } = peer.options;
    const ports = { bucket: buckets.triggers, events, principal, log: logTo(s.out) };
    const triggers = new Triggers(ports, {
      submit: ({ name, version }, input, options) => {
        const told = taskOptions(options, Date.now());
        if (version !== "") told.version = version;
        return peer.submitters.submit(name, input, told);
      },
      onClosed: () => undefined,
    });
    return work(triggers, principal);
  });
}

async function put(command: Command, file: string): Promise<void> {
  const s = session(command);
  const value = await readJsonFile(file);
  await withTriggers(s, async (triggers, principal) => {
    const trigger = await triggers.put(value);
    if (s.out.json) return s.out.document({ ...trigger, principal, next: await nextOf(trigger) });
    s.out.text(`${principal}.${trigger.name}: ${whenText(trigger.when)}`);
    s.out.note(`whoever is ${principal} serves it: parley trigger serve, or triggers.serve()`);
  });
}

async function ls(command: Command): Promise<void> {
  const s = session<{ all?: boolean }>(command);
  await withTriggers(s, async (triggers, principal) => {
    const found = await triggers.list(s.options.all === true ? "*" : principal);
    const all = await Promise.all(found.map(async (one) => ({ ...one, next: await nextOf(one) })));
    if (s.out.json) return s.out.document(all);
    if (all.length === 0) return s.out.note(`${principal} has no triggers`);
    s.out.table(
      ["TRIGGER", "OF", "WHEN", "CAPABILITY", "NEXT"],
      all.map(({ name, principal, when, capability, next }) => [
        name,
        principal,
        whenText(when),
        capability,
        next ?? "-",
      ]),
    );
  });
}

async function rm(command: Command, name: string): Promise<void> {
  const s = session(command);
  await withTriggers(s, async (triggers) => {
    await triggers.remove(token("trigger")(name));
    if (s.out.json) s.out.document({ name, removed: true });
    else s.out.text(`${name} removed`);
  });
}

async function serve(command: Command): Promise<void> {
  const s = session(command);
  await withTriggers(s, async (triggers, principal) => {
    const stop = await triggers.serve();
    if (s.out.json) s.out.document({ serving: principal });
    else s.out.text(`serving the triggers of ${principal}; Ctrl-C ends it`);
    try {
      await orInterrupted(new Promise<never>(() => undefined));
    } finally {
      stop();
    }
  });
}

async function emit(command: Command, topic: string, data: string | undefined): Promise<void> {
  const s = session(command);
  const value = data === undefined ? null : await readInput(data);
  await withTriggers(s, async (triggers) => {
    const seq = await triggers.emit(topic, value);
    if (s.out.json) s.out.document({ topic, seq });
    else s.out.text(`event ${seq} on ${topic}`);
  });
}

async function nextOf(trigger: StoredTrigger): Promise<string | undefined> {
  const { nextDue } = await import("../../agent-sdk/trigger-due.ts");
  const next = nextDue(trigger, Date.now());
  return next === undefined ? undefined : timeText(next);
}

function whenText(when: When): string {
  if ("at" in when) return `at ${when.at}`;
  if ("everyMs" in when) return `every ${when.everyMs} ms`;
  if ("event" in when) return `event ${when.event}`;
  return `cron ${when.cron} (${when.timeZone ?? "UTC"})`;
}
