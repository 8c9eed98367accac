/** One key of a bucket. */
export interface BucketEntry {
  key: string;
  /** Undefined: it is gone, and for some seconds its revision still counts. */
  value: Uint8Array | undefined;
  /** Its revision: what the next write under the key must name. */
  rev: number;
}

/** A bucket of small values that several peers share (`mesh_board`, `mesh_workflows`). */
export interface Bucket {
  /** Of a pattern: what was written last under any key of it. @throws ParleyError E_STORE */
  get(key: string): Promise<BucketEntry | undefined>;
  /**
   * @param rev the revision that this follows; 0: there must be none; absent: whatever is there
   * @param ttlS gone after so many seconds
   * @throws ParleyError E_FENCED when something else is there; E_PERMISSION, E_STORE
   */
  put(key: string, value: Uint8Array, options?: { rev?: number; ttlS?: number }): Promise<number>;
  /** @throws ParleyError E_FENCED */
  remove(key: string, rev?: number): Promise<void>;
  /** Newest of every key, at most 1,024. */
  list(pattern: string): Promise<BucketEntry[]>;
  /** Called for every write from now on, and when a key is gone. */
  watch(pattern: string, then: (entry: BucketEntry) => void): () => void;
}
