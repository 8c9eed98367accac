// What a decision costs in messages is part of what a commit changes: it is written down.
import { expect, test } from "vitest";
import { lastProtocol, measureProtocol, protocolTable } from "../../bench/protocol.ts";

test("the figures of the protocol are those of bench/protocol.json", async () => {
  const rows = await measureProtocol();
  // In the output of every test run, with what it was before in brackets.
  console.log(protocolTable(rows, lastProtocol()));
  // When this was meant: npm run bench -- protocol --keep
  expect(rows).toEqual(lastProtocol());
}, 300_000); // nothing here waits: how long it takes is a matter of what else runs
