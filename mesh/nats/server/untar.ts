// One file out of a .tar.gz, without unpacking anything else: no path in the archive ever
// becomes a path on the disk.
import { gunzipSync } from "node:zlib";

const blockBytes = 512;

/** The bytes of the regular file with exactly this path. Throws `RangeError` when the archive is
 * larger unpacked than `unpackedBytesMax`, `Error` when the file is not in it. */
export function fileFromTarGz(archive: Buffer, path: string, unpackedBytesMax: number): Buffer {
  const tar = gunzipSync(archive, { maxOutputLength: unpackedBytesMax });
  let offset = 0;
  while (offset + blockBytes <= tar.length) {
    const header = tar.subarray(offset, offset + blockBytes);
    const name = textOf(header, 0, 100);
    if (name === "") break;
    const bytes = Number.parseInt(textOf(header, 124, 12).trim(), 8);
    if (!Number.isSafeInteger(bytes) || bytes < 0) throw new Error("the archive is damaged");
    const start = offset + blockBytes;
    const type = textOf(header, 156, 1);
    const prefix = textOf(header, 257, 5) === "ustar" ? textOf(header, 345, 155) : "";
    const full = prefix === "" ? name : `${prefix}/${name}`;
    if (full.replace(/^\.\//, "") === path && (type === "0" || type === "")) {
      if (start + bytes > tar.length) throw new Error("the archive is cut short");
      return tar.subarray(start, start + bytes);
    }
    offset = start + Math.ceil(bytes / blockBytes) * blockBytes;
  }
  throw new Error(`${path} is not in the archive`);
}

function textOf(header: Buffer, start: number, length: number): string {
  const field = header.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.toString("latin1", 0, end === -1 ? field.length : end);
}
