// Numbers as flags give them.
import { InvalidArgumentError } from "commander";

export function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`Give a whole number of ${least} to ${most}.`);
  };
}

export function above(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && value > least && value <= most) return value;
    throw new InvalidArgumentError(`Give a number above ${least}, at most ${most}.`);
  };
}
