// A disk of our own for the store: an image file with ext4, mounted by a loop device. Copying the
// image while the server is stopped keeps what had reached the device and loses the rest, as a
// power cut does.
import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const IMAGE_MB = 512;

/** Why no such disk can be had here; undefined when it can. */
export async function noDisk(): Promise<string | undefined> {
  if (process.platform !== "linux") return "needs Linux loop devices";
  if (process.getuid?.() !== 0) return "needs root to mount a disk image";
  try {
    const disk = await LoopDisk.create();
    await disk.remove();
    return undefined;
  } catch (error) {
    return `a disk image cannot be mounted here (${(error as Error).message.trim()})`;
  }
}

export class LoopDisk {
  readonly path: string;
  readonly #dir: string;
  #image: string;
  #copies = 0;

  private constructor(dir: string) {
    this.#dir = dir;
    this.path = join(dir, "store");
    this.#image = join(dir, "disk-0.img");
  }

  static async create(): Promise<LoopDisk> {
    const disk = new LoopDisk(await mkdtemp(join(tmpdir(), "parley-disk-")));
    try {
      await mkdir(disk.path);
      await run("truncate", ["-s", `${IMAGE_MB}M`, disk.#image]);
      await run("mkfs.ext4", ["-q", "-F", disk.#image]);
      await run("mount", ["-o", "loop", disk.#image, disk.path]);
      return disk;
    } catch (error) {
      await disk.remove();
      throw error;
    }
  }

  /** The image as the device has it now: nobody may be writing (stop the writer first). */
  async snapshot(): Promise<string> {
    const copy = join(this.#dir, `disk-${++this.#copies}.img`);
    await copyFile(this.#image, copy);
    return copy;
  }

  /** Puts a snapshot in the place of the disk, after the check that a boot makes. */
  async replace(image: string): Promise<void> {
    await run("umount", [this.path]);
    await rm(this.#image, { force: true });
    this.#image = image;
    // Exit code 1: errors were corrected, as after any power cut.
    await run("fsck.ext4", ["-p", image]).catch((error: { code?: number }) => {
      if (error.code !== 1) throw error;
    });
    await run("mount", ["-o", "loop", image, this.path]);
  }

  async remove(): Promise<void> {
    await run("umount", ["-l", this.path]).catch(() => undefined);
    await rm(this.#dir, { recursive: true, force: true }).catch(() => undefined);
  }
}
