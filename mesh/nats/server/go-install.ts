// nats-server built by the Go toolchain that the machine has. Go itself checks every module
// against its checksum database; nothing here turns that off.
import { join } from "node:path";
import { serverFileName } from "./cache.ts";
import { failureOf, findOnPath, runChild } from "./child.ts";
import type { Source } from "./source.ts";
import { serverVersionPinned } from "./version.ts";

/** A build with empty caches takes 35 s on two cores. */
const buildTimeoutMs = 600_000;

export const goSource: Source = {
  name: "go",
  fetch: async ({ env, say, scratch }) => {
    const [go] = findOnPath("go", env);
    if (go === undefined) throw new Error("no Go toolchain on PATH");
    const module = `github.com/nats-io/nats-server/v2@v${serverVersionPinned}`;
    say(`go: building ${module} (about half a minute the first time)`);
    const result = await runChild(go, ["install", module], {
      env: { ...env, GOBIN: scratch },
      timeoutMs: buildTimeoutMs,
    });
    const failure = failureOf(result);
    if (failure !== undefined) throw new Error(`go install ${module}: ${failure}`);
    return { binary: join(scratch, serverFileName), origin: `go install ${module}` };
  },
};
