// What the mesh asks of a message transport. NATS and the simulator implement it.

export interface Incoming {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly reply: string | undefined;
  /** 503: nobody is there to answer. 0: an ordinary message. */
  readonly status: number;
  readonly hasHeaders: boolean;
  header(name: string): string | undefined;
  /**
   * What `read` makes of this message, or made of it for an earlier reader. For a transport that
   * hands one message to many within a process; what they share is not to be changed.
   */
  shared?<T>(reader: object, read: () => T | undefined): T | undefined;
}

export interface Subscription {
  unsubscribe(): void;
}

export interface PublishOptions {
  reply?: string;
  headers?: Readonly<Record<string, string>>;
}

export type ConnectionState = "up" | "down" | "closed";

export interface Transport {
  /** Largest payload that the server takes, bytes. */
  readonly payloadMax: number;
  /** Fire and forget. While the connection is down the message is dropped and counted. */
  publish(subject: string, data: Uint8Array, options?: PublishOptions): void;
  subscribe(
    pattern: string,
    handler: (message: Incoming) => void,
    options?: { queue?: string },
  ): Subscription;
  /** One answer or a ParleyError: E_TIMEOUT, E_NO_CAPABILITY (no responders), E_PERMISSION. */
  request(
    subject: string,
    data: Uint8Array,
    options: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<Incoming>;
  /** All answers until `timeoutMs`, a silence of `stallMs`, or an empty message. */
  requestMany(
    subject: string,
    data: Uint8Array,
    options: { timeoutMs: number; stallMs: number },
  ): Promise<Incoming[]>;
  state(): ConnectionState;
  onState(handler: (state: ConnectionState) => void): void;
  /** Asynchronous refusals of the server (permissions), for logs and counters. */
  onError(handler: (error: Error) => void): void;
  /** Resolves once the server has all that was said before. Rejects when the link goes down. */
  flush(): Promise<void>;
  /**
   * Resolves once the server has all subscriptions; where the link goes down meanwhile, once it is
   * back. @throws ParleyError E_CONNECTION once the connection is closed for good
   */
  established(): Promise<void>;
  close(): Promise<void>;
}
