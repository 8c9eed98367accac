// What to type when no nats-server could be had, per operating system.
import { serverVersionFloor, serverVersionPinned } from "./version.ts";

const release = `https://github.com/nats-io/nats-server/releases/tag/v${serverVersionPinned}`;
const go = `go install github.com/nats-io/nats-server/v2@v${serverVersionPinned}`;
const docker =
  `docker run --rm -p 127.0.0.1:4222:4222 nats:${serverVersionPinned} -js` +
  "    # then NATS_URL=nats://127.0.0.1:4222";

const commands: Readonly<Partial<Record<NodeJS.Platform, readonly string[]>>> = {
  darwin: ["brew install nats-server", go, docker],
  win32: ["scoop install nats-server", go, docker],
  linux: [
    go,
    docker,
    `sudo apt-get install nats-server    # only where that gives ${serverVersionFloor} or newer`,
  ],
};

/** Exact commands, one per line, for this operating system. */
export function instructionsFor(platform: NodeJS.Platform = process.platform): string {
  const lines = [
    `Parley needs nats-server ${serverVersionFloor} or newer. Do one of these, then try again:`,
    ...(commands[platform] ?? [go, docker]).map((command) => `  ${command}`),
    `  or download it from ${release}`,
    "  and set NATS_SERVER_BIN to the program",
  ];
  return lines.join("\n");
}
