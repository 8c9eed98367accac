import fc from "fast-check";
import { expect, test } from "vitest";
import { Heap } from "../../mesh/core/heap.ts";

const keys = fc.array(fc.integer({ min: -5, max: 5 }), { maxLength: 80 });

function drain<T>(heap: Heap<T>): T[] {
  const out: T[] = [];
  while (heap.size > 0) out.push(heap.pop() as T);
  return out;
}

test("leaves in the order of the keys, equal keys as they came", () => {
  fc.assert(
    fc.property(keys, (list) => {
      const heap = new Heap<{ key: number; n: number }>();
      list.forEach((key, n) => {
        heap.push(key, { key, n });
      });
      const sorted = list.map((key, n) => ({ key, n })).sort((a, b) => a.key - b.key || a.n - b.n);
      expect(drain(heap)).toEqual(sorted);
    }),
  );
});

test("of equal keys the lowest number leaves first, whenever it came", () => {
  const entry = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 20 }));
  fc.assert(
    fc.property(fc.uniqueArray(entry, { selector: ([, nth]) => nth }), (list) => {
      const heap = new Heap<[number, number]>();
      for (const [key, nth] of list) heap.push(key, [key, nth], nth);
      expect(drain(heap)).toEqual([...list].sort((a, b) => a[0] - b[0] || a[1] - b[1]));
    }),
  );
});

test("agrees with a sorted list when pushes and pops are mixed", () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.integer({ min: 0, max: 9 })), { maxLength: 100 }), (ops) => {
      const heap = new Heap<number>();
      const model: number[] = [];
      for (const op of ops) {
        if (op === null) {
          model.sort((a, b) => a - b);
          expect(heap.peek()).toBe(model[0]);
          expect(heap.peekKey()).toBe(model[0]);
          expect(heap.pop()).toBe(model.shift());
        } else {
          heap.push(op, op);
          model.push(op);
        }
        expect(heap.size).toBe(model.length);
      }
    }),
  );
});

test("an empty heap answers undefined, also after clear", () => {
  const heap = new Heap<string>();
  expect([heap.pop(), heap.peek(), heap.peekKey()]).toEqual([undefined, undefined, undefined]);
  heap.push(1, "a");
  heap.clear();
  expect([heap.size, heap.pop()]).toEqual([0, undefined]);
});
