// Small downloads with every limit that an unattended one needs: connection, silence, total time,
// size, redirects, no step down from https to http.
import http from "node:http";
import https from "node:https";
import type { Env } from "./child.ts";

export interface DownloadLimits {
  /** Time until the answer's head has come, per hop, in ms; short, so that a machine without
   * network moves on at once. */
  readonly connectTimeoutMs: number;
  /** Longest silence while the body comes, in ms. */
  readonly silenceTimeoutMs: number;
  /** Time for everything, in ms. */
  readonly totalTimeoutMs: number;
  readonly bytesMax: number;
}

const redirectsMax = 5;

/** Fetches an address into memory. Proxies are taken from `env` (HTTPS_PROXY, HTTP_PROXY,
 * NO_PROXY; needs Node 24.5 or 22.21). Rejects with an `Error` whose message is one line. */
export async function download(url: URL, env: Env, limits: DownloadLimits): Promise<Buffer> {
  const signal = AbortSignal.timeout(limits.totalTimeoutMs);
  let at = url;
  for (let hop = 0; hop <= redirectsMax; hop++) {
    const response = await open(at, env, limits, signal);
    const status = response.statusCode ?? 0;
    const location = response.headers.location;
    if (status < 300 || status > 399 || location === undefined) {
      if (status === 200) return collect(response, at, limits, signal);
      response.destroy();
      throw new Error(`${at.host} answered ${status} for ${at.pathname}`);
    }
    response.destroy();
    const next = new URL(location, at);
    if (at.protocol === "https:" && next.protocol !== "https:") {
      throw new Error(`${at.host} redirects from https to ${next.protocol}//${next.host}`);
    }
    at = next;
  }
  throw new Error(`${url.host} redirects more than ${redirectsMax} times`);
}

function open(
  url: URL,
  env: Env,
  limits: DownloadLimits,
  signal: AbortSignal,
): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { get, Agent } = url.protocol === "https:" ? https : http;
    const agent = new Agent({ proxyEnv: { ...env } });
    const request = get(url, { agent, signal }, (response) => {
      clearTimeout(timer);
      resolve(response);
    });
    const timer = setTimeout(() => {
      const seconds = limits.connectTimeoutMs / 1000;
      request.destroy(new Error(`no answer from ${url.host} within ${seconds} s`));
    }, limits.connectTimeoutMs);
    request.on("error", (error) => {
      clearTimeout(timer);
      reject(signal.aborted ? new Error(tooSlow(url, limits)) : error);
    });
  });
}

async function collect(
  response: http.IncomingMessage,
  url: URL,
  limits: DownloadLimits,
  signal: AbortSignal,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  response.setTimeout(limits.silenceTimeoutMs, () => {
    response.destroy(new Error(`${url.host} fell silent`));
  });
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > limits.bytesMax) {
        throw new Error(`${url.pathname} is larger than ${limits.bytesMax} bytes`);
      }
      chunks.push(chunk);
    }
  } catch (error) {
    throw signal.aborted ? new Error(tooSlow(url, limits)) : error;
  }
  return Buffer.concat(chunks, bytes);
}

function tooSlow(url: URL, limits: DownloadLimits): string {
  return `${url.host} did not deliver within ${limits.totalTimeoutMs / 1000} s`;
}
