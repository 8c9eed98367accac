// A plain msgpack reader for the one kind of document that msgpackr does not keep exactly: without
// its native half it decodes strings over 64 bytes with a TextDecoder that drops a leading U+FEFF.
// Its input has passed guardMsgpack, so nothing is checked here and the depth is bounded.

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** The value of one guarded msgpack document. `bin` is copied. */
export function readMsgpack(bytes: Uint8Array): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return new Reader(bytes, view).value();
}

class Reader {
  private pos = 0;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;

  constructor(bytes: Uint8Array, view: DataView) {
    this.bytes = bytes;
    this.view = view;
  }

  value(): unknown {
    const token = this.view.getUint8(this.pos++);
    if (token < 0x80) return token;
    if (token < 0x90) return this.map(token & 0x0f);
    if (token < 0xa0) return this.array(token & 0x0f);
    if (token < 0xc0) return this.string(token & 0x1f);
    if (token >= 0xe0) return token - 0x100;
    if (token >= 0xc4 && token <= 0xc6) return this.take(this.uint(1 << (token - 0xc4))).slice();
    if (token >= 0xd9 && token <= 0xdb) return this.string(this.uint(1 << (token - 0xd9)));
    if (token >= 0xdc) return this.container(token);
    if (token >= 0xcc) return this.integer(token);
    return this.simple(token);
  }

  private container(token: number): unknown {
    const size = this.uint(token === 0xdc || token === 0xde ? 2 : 4);
    return token >= 0xde ? this.map(size) : this.array(size);
  }

  private simple(token: number): unknown {
    if (token === 0xc0) return null;
    if (token === 0xc2) return false;
    if (token === 0xc3) return true;
    const at = this.pos;
    this.pos += token === 0xca ? 4 : 8;
    return token === 0xca ? this.view.getFloat32(at) : this.view.getFloat64(at);
  }

  private integer(token: number): number {
    const signed = token >= 0xd0;
    const size = 1 << (token - (signed ? 0xd0 : 0xcc));
    if (size < 8) return signed ? this.int(size) : this.uint(size);
    const high = signed ? this.int(4) : this.uint(4);
    return high * 0x1_0000_0000 + this.uint(4);
  }

  private map(size: number): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    for (let i = 0; i < size; i++) {
      const key = this.value() as string;
      map[key] = this.value();
    }
    return map;
  }

  private array(size: number): unknown[] {
    const array: unknown[] = [];
    for (let i = 0; i < size; i++) array.push(this.value());
    return array;
  }

  private string(length: number): string {
    return utf8.decode(this.take(length));
  }

  private take(length: number): Uint8Array {
    const start = this.pos;
    this.pos += length;
    return this.bytes.subarray(start, this.pos);
  }

  private uint(size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) value = value * 256 + this.view.getUint8(this.pos++);
    return value;
  }

  private int(size: number): number {
    const at = this.pos;
    this.pos += size;
    if (size === 1) return this.view.getInt8(at);
    return size === 2 ? this.view.getInt16(at) : this.view.getInt32(at);
  }
}
