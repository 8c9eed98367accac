/** Something that happened, told to whoever cares; kept for a while. */
export interface MeshEvent {
  /** Its place among all events, from 1. */
  seq: number;
  topic: string;
  data: Uint8Array;
  /** When it was stored, by the server's clock, ms since the epoch. */
  at: number;
}

export interface EventLog {
  /** Gives its place once it is stored. @throws ParleyError E_PERMISSION, E_STORE, E_CONNECTION */
  emit(topic: string, data: Uint8Array): Promise<number>;
  /** What was stored after that place and is there still, oldest first, at most so many. */
  read(pattern: string, after: number, most: number): Promise<MeshEvent[]>;
  /** Place of the newest; 0: there is none. */
  last(pattern: string): Promise<number>;
  /** Called whenever one was stored, from now on. */
  watch(pattern: string, then: () => void): () => void;
}
