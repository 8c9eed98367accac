// Versions of nats-server: which we need, which we fetch, how one is read and compared.

/** Lowest nats-server that Parley runs on: 2.14.3 has fenced writes, per-key TTL, schedules and
 * the security fixes of mid 2026. */
export const serverVersionFloor = "2.14.3";

/** The nats-server that is fetched when the machine has none; the one Parley is developed on. */
export const serverVersionPinned = "2.15.1";

const pattern = /v?(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?/;

/** The first version found in a text such as `nats-server: v2.15.1`, without the `v`. */
export function versionIn(text: string): string | undefined {
  return pattern.exec(text)?.[0].replace(/^v/, "");
}

/** Negative, zero or positive as `a` is older than, equal to or newer than `b`. A pre-release
 * (`2.15.0-dev`) is older than its release. Throws `TypeError` on text without a version. */
export function compareVersions(a: string, b: string): number {
  const left = numbersOf(a);
  const right = numbersOf(b);
  for (let i = 0; i < left.length; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function numbersOf(text: string): number[] {
  const match = pattern.exec(text);
  if (match === null) throw new TypeError(`not a version: ${JSON.stringify(text)}`);
  const release = match[4] === undefined ? 1 : 0;
  return [Number(match[1]), Number(match[2]), Number(match[3]), release];
}
