// A plain JSON reader for the one kind of text that JSON.parse may misread: from V8 12.8 on (Node
// 24 to 26 at least), a key written with escapes can come back as another key that an earlier text
// used, so that {"n\\":0} from one sender turns {"n\u00e9":1} of the next into {"n\\":1}.
// Source: https://github.com/nodejs/node/issues/63785. Strings and other values are not affected.
//
// Its input has passed guardJson, so nothing is checked here and the depth is bounded.

/** The value of one guarded JSON text. */
export function readJson(text: string): unknown {
  return new Reader(text).value();
}

class Reader {
  private pos = 0;
  private readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  value(): unknown {
    switch (this.next()) {
      case "{":
        return this.object();
      case "[":
        return this.array();
      case '"':
        return this.string();
      case "t":
        return this.literal(4, true);
      case "f":
        return this.literal(5, false);
      case "n":
        return this.literal(4, null);
      default:
        return this.number();
    }
  }

  private object(): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    this.pos++;
    if (this.next() === "}") this.pos++;
    else {
      do {
        this.next();
        const key = this.string();
        this.next();
        this.pos++; // the colon
        object[key] = this.value();
      } while (this.hasMore());
    }
    return object;
  }

  private array(): unknown[] {
    const array: unknown[] = [];
    this.pos++;
    if (this.next() === "]") this.pos++;
    else {
      do array.push(this.value());
      while (this.hasMore());
    }
    return array;
  }

  /** Steps over the comma, or over the end of the container. */
  private hasMore(): boolean {
    const character = this.next();
    this.pos++;
    return character === ",";
  }

  private string(): string {
    const start = this.pos;
    let isPlain = true;
    let end = start + 1;
    for (;;) {
      const character = this.text[end];
      if (character === '"') break;
      if (character === "\\") isPlain = false;
      end += character === "\\" ? 2 : 1;
    }
    this.pos = end + 1;
    if (isPlain) return this.text.slice(start + 1, end);
    return JSON.parse(this.text.slice(start, end + 1)) as string;
  }

  private number(): number {
    const start = this.pos;
    let end = start + 1;
    while (isNumeric(this.text.charCodeAt(end))) end++;
    this.pos = end;
    return Number(this.text.slice(start, end));
  }

  private literal<Value>(length: number, value: Value): Value {
    this.pos += length;
    return value;
  }

  /** The next character that is not white space; the position stays at it. */
  private next(): string | undefined {
    while (this.text.charCodeAt(this.pos) <= 0x20) this.pos++;
    return this.text[this.pos];
  }
}

/** Digits, sign, point and exponent. NaN, which charCodeAt gives at the end, is none of them. */
function isNumeric(code: number): boolean {
  if (code >= 0x30 && code <= 0x39) return true;
  return code === 0x2e || code === 0x65 || code === 0x45 || code === 0x2d || code === 0x2b;
}
