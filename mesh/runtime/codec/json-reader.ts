// A plain JSON reader for the one kind of text that JSON.parse may misread: from V8 12.8 on (Node
// 24 to 26 at least), a key written with escapes can come back as another key that an earlier text
// used, so that {"n\\":0} from one sender turns {"n\u00e9":1} of the next into {"n\\":1}.
// Source: https://github.com/nodejs/node/issues/63785. Strings and other values are not affected.
//
// Its input has passed guardJson, so nothing is checked here and the depth is bounded.

const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;
const PLAIN = /[^"\\]*/y;

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
        return Number(this.match(NUMBER));
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
    const start = this.pos++;
    const plain = this.match(PLAIN);
    if (this.text[this.pos] === '"') {
      this.pos++;
      return plain;
    }
    while (this.text[this.pos] !== '"') {
      this.pos += 2; // a backslash and what it escapes
      this.match(PLAIN);
    }
    this.pos++;
    return JSON.parse(this.text.slice(start, this.pos)) as string;
  }

  private literal<Value>(length: number, value: Value): Value {
    this.pos += length;
    return value;
  }

  /** The next character that is not white space; the position stays at it. */
  private next(): string | undefined {
    const character = this.text[this.pos];
    if (character !== undefined && character > " ") return character;
    this.match(SPACE);
    return this.text[this.pos];
  }

  private match(pattern: RegExp): string {
    const start = this.pos;
    pattern.lastIndex = start;
    pattern.test(this.text);
    this.pos = pattern.lastIndex;
    return this.text.slice(start, this.pos);
  }
}
