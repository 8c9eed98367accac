// Rules about the code itself: imports, bans, sizes, words, and that the documents keep up.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative, resolve, sep } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");

/** Files under version control or about to be: what a clone would have. */
const files = spawnSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: root,
  encoding: "utf8",
})
  .stdout.split("\n")
  .filter((name) => name !== "" && existsSync(join(root, name)));

const texts = new Map<string, string>();
function textOf(name: string): string {
  const known = texts.get(name);
  if (known !== undefined) return known;
  const text = readFileSync(join(root, name), "utf8");
  texts.set(name, text);
  return text;
}

const sources = files.filter((name) => name.endsWith(".ts"));
const documents = files.filter(
  (name) => name.endsWith(".md") && (!name.includes("/") || name.startsWith("docs/")),
);

interface Import {
  specifier: string;
  /** Only types: gone when the code runs. */
  isType: boolean;
}

/** Every import and re-export, type-only ones included. */
function importsOf(name: string): Import[] {
  const text = withoutComments(textOf(name));
  const statements = /\b(?:import|export)\b(\s+type\b)?[^"';]*?\bfrom\s*["']([^"']+)["']/g;
  const found = [...text.matchAll(statements)].map((m) => ({
    specifier: m[2] as string,
    isType: m[1] !== undefined,
  }));
  for (const pattern of [
    /\bimport\s*\(\s*["']([^"']+)["']\s*\)/g,
    /^\s*import\s*["']([^"']+)["']/gm,
  ]) {
    for (const m of text.matchAll(pattern))
      found.push({ specifier: m[1] as string, isType: false });
  }
  return found;
}

function withoutComments(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, " "))
    .replace(/(^|[^:"'`\\])\/\/[^\n]*/g, "$1");
}

/** What a specifier names: a file of ours, `node:…`, or a package. */
function target(from: string, specifier: string): string {
  if (!specifier.startsWith(".")) {
    return builtinModules.includes(specifier) ? `node:${specifier}` : specifier;
  }
  return relative(root, resolve(root, dirname(from), specifier))
    .split(sep)
    .join("/");
}

interface Rule {
  folder: string;
  /** Prefixes that an import may begin with. */
  may: readonly string[];
  /** The same, for types only. */
  mayTypes?: readonly string[];
  except?: (name: string) => boolean;
}

/** Said in the head of a file that joins the layers above to the adapters below. */
const COMPOSITION_ROOT = /composition root|knows mesh\/nats/i;

function isCompositionRoot(name: string): boolean {
  const head = textOf(name)
    .split("\n")
    .filter((line) => line.startsWith("//"))
    .slice(0, 12);
  return head.some((line) => COMPOSITION_ROOT.test(line));
}

const RULES: readonly Rule[] = [
  { folder: "contracts/", may: ["contracts/", "zod"] },
  { folder: "mesh/core/", may: ["mesh/core/", "contracts/"] },
  { folder: "mesh/ports/", may: ["mesh/ports/", "contracts/"] },
  {
    folder: "mesh/runtime/",
    may: [
      "mesh/runtime/",
      "mesh/core/",
      "mesh/ports/",
      "contracts/",
      "zod",
      "msgpackr",
      "node:crypto",
      // Byte checks of the codec.
      "node:buffer",
    ],
  },
  {
    folder: "mesh/nats/",
    may: ["mesh/nats/", "mesh/ports/", "contracts/", "@nats-io/", "node:", "zod"],
  },
  {
    folder: "agent-sdk/",
    may: [..."agent-sdk/ contracts/ mesh/index.ts mesh/core/workflow/ zod croner node:".split(" ")],
    mayTypes: ["mesh/ports/"],
    except: isCompositionRoot,
  },
];

function allowed(rule: Rule, what: string, isType: boolean): boolean {
  const prefixes = isType ? [...rule.may, ...(rule.mayTypes ?? [])] : rule.may;
  return prefixes.some((prefix) =>
    /[/:]$/.test(prefix)
      ? what.startsWith(prefix)
      : what === prefix || what.startsWith(`${prefix}/`),
  );
}

/** What the files import from outside their rule, in words. */
function strangers(names: readonly string[], fits: (what: string, isType: boolean) => boolean) {
  return names.flatMap((name) =>
    importsOf(name)
      .map(({ specifier, isType }) => ({ what: target(name, specifier), isType }))
      .filter(({ what, isType }) => !fits(what, isType))
      .map(({ what }) => `${name} imports ${what}`),
  );
}

describe("imports", () => {
  test.each(RULES)("$folder imports only what its layer may", (rule) => {
    const members = sources.filter((name) => name.startsWith(rule.folder));
    expect(members.length).toBeGreaterThan(0);
    const bound = members.filter((name) => rule.except?.(name) !== true);
    expect(strangers(bound, (what, isType) => allowed(rule, what, isType))).toEqual([]);
  });

  test("a composition root of agent-sdk adds the local mesh and mesh/nats, nothing else", () => {
    const roots = sources.filter((n) => n.startsWith("agent-sdk/") && isCompositionRoot(n));
    const fits = (what: string): boolean =>
      !what.startsWith("mesh/") ||
      ["mesh/local.ts", "mesh/index.ts"].includes(what) ||
      what.startsWith("mesh/nats/");
    expect(strangers(roots, fits)).toEqual([]);
  });

  test("only mesh/nats, its floor in bench, and tests import the NATS client, types too", () => {
    const others = sources.filter((name) => !/^(mesh\/nats|test|bench)\//.test(name));
    expect(strangers(others, (what) => !what.startsWith("@nats-io/"))).toEqual([]);
  });

  test("mesh/ports holds types only", () => {
    for (const name of sources.filter((n) => n.startsWith("mesh/ports/"))) {
      const code = withoutComments(textOf(name));
      expect(code, name).not.toMatch(/^\s*(export\s+)?(const|let|function|class|enum)\b/m);
      expect(code, name).not.toMatch(/^\s*import\s+(?!type\b)/m);
    }
  });

  test("nothing but tests imports a test", () => {
    const wrong = sources
      .filter((name) => !name.startsWith("test/"))
      .filter((name) => importsOf(name).some((i) => target(name, i.specifier).startsWith("test/")));
    expect(wrong).toEqual([]);
  });
});

describe("mesh/core", () => {
  const core = sources.filter((name) => name.startsWith("mesh/core/"));
  const bans: [pattern: RegExp, instead: string][] = [
    [/\bDate\b/, "take `now` as an argument"],
    [/\bMath\.random\b/, "draw from the generator that the driver gives"],
    [/\basync\b/, "return effects"],
    [/\bawait\b/, "return effects"],
    [/\bnew Promise\b/, "return effects"],
    [/["']node:/, "ask for a port"],
  ];

  test.each(bans)("has no %s (%s)", (pattern) => {
    expect(
      core.filter((name) => pattern.test(withoutStrings(withoutComments(textOf(name)), pattern))),
    ).toEqual([]);
  });

  test("compiles alone, with no ambient types", () => {
    const program = join(root, "node_modules", ".bin", "tsc");
    const result = spawnSync(program, ["-p", "mesh/core/tsconfig.json"], {
      cwd: root,
      encoding: "utf8",
      shell: process.platform === "win32",
    });
    expect(result.stdout + result.stderr).toBe("");
    expect(result.status).toBe(0);
    const options = JSON.parse(textOf("mesh/core/tsconfig.json")) as {
      compilerOptions: { lib: string[]; types: string[] };
    };
    expect(options.compilerOptions).toMatchObject({ lib: ["ES2023"], types: [] });
  }, 60_000);
});

/** Words in strings are no code, except where the ban is on a specifier. */
function withoutStrings(code: string, pattern: RegExp): string {
  if (pattern.source.includes("node:")) return code;
  return code.replace(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g, '""');
}

const FILE_LINES_MAX = 500;
const LINE_COLUMNS_MAX = 100;
const FUNCTION_LINES_MAX = 70;

interface Length {
  name: string;
  line: number;
  lines: number;
}

/** Functions, methods and arrow bodies with their length, found by their braces. */
function functionsOf(name: string): Length[] {
  const code = blankStrings(withoutComments(textOf(name)));
  const found: Length[] = [];
  const stack: { line: number; isFunction: boolean }[] = [];
  let line = 1;
  for (let i = 0; i < code.length; i++) {
    const c = code[i];
    if (c === "\n") line++;
    if (c === "{") stack.push({ line, isFunction: opensFunction(code, i) });
    if (c === "}") {
      const open = stack.pop();
      if (open?.isFunction) found.push({ name, line: open.line, lines: line - open.line + 1 });
    }
  }
  return found;
}

/** Same length, so that lines keep their numbers; braces in strings do not count. */
function blankStrings(code: string): string {
  const blank = (text: string) => text.replace(/[^\n]/g, " ");
  return code
    .replace(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g, blank)
    .replace(/([=(,:!&|?;]\s*)\/(?![*/])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/g, blank);
}

const NOT_FUNCTIONS = /\b(if|for|while|switch|catch|with)\s*$/;

function opensFunction(code: string, brace: number): boolean {
  // Types of parameters and results may hold braces of their own, closed ones.
  let before = code.slice(Math.max(0, brace - 2_000), brace).trimEnd();
  for (let i = 0; i < 3; i++) before = before.replace(/[:<,|&] *\{[^{}]*\}/g, "");
  if (before.endsWith("=>")) return true;
  // A return type may stand between the parameters and the brace.
  const signature = before.replace(/\)\s*:\s*[^(){};=]*$/, ")");
  if (!signature.endsWith(")")) return false;
  let depth = 0;
  for (let i = signature.length - 1; i >= 0; i--) {
    if (signature[i] === ")") depth++;
    if (signature[i] === "(" && --depth === 0) {
      const head = signature.slice(0, i).trimEnd();
      return (
        (/[\w$>\]]$/.test(head) && !NOT_FUNCTIONS.test(head)) || /\bfunction\s*\*?$/.test(head)
      );
    }
  }
  return false;
}

/** A test's callback holds many small tests; its own size says nothing. */
const isTest = (name: string): boolean => name.startsWith("test/");

describe("sizes", () => {
  const code = files.filter((name) => /\.(ts|mjs)$/.test(name));

  test(`no file has ${FILE_LINES_MAX} lines or more`, () => {
    const long = code
      .map((name) => [name, textOf(name).split("\n").length] as const)
      .filter(([, lines]) => lines > FILE_LINES_MAX);
    expect(long).toEqual([]);
  });

  test(`no line is longer than ${LINE_COLUMNS_MAX} columns`, () => {
    const long = code.flatMap((name) =>
      textOf(name)
        .split("\n")
        .flatMap((line, i) => ([...line].length > LINE_COLUMNS_MAX ? [`${name}:${i + 1}`] : [])),
    );
    expect(long).toEqual([]);
  });

  test(`no function has more than ${FUNCTION_LINES_MAX} lines`, () => {
    const long = code
      .filter((name) => !isTest(name))
      .flatMap(functionsOf)
      .filter((f) => f.lines > FUNCTION_LINES_MAX)
      .map((f) => `${f.name}:${f.line} ${f.lines}`);
    expect(long).toEqual([]);
  });

  test("the counter of functions sees the long ones", () => {
    texts.set(
      "sample.ts",
      [
        "export function long(a: { b: number }): Map<string, { c: 1 }> {",
        ...Array(75).fill("  x();"),
        "}",
        "const o = {",
        ...Array(80).fill("  a: 1,"),
        "};",
        "class K {",
        '  m(s = "}"): void {',
        ...Array(10).fill("    y({ a: `}` });"),
        "  }",
        ...Array(80).fill("  f = 1;"),
        "}",
        "if (a) {",
        ...Array(90).fill("  z();"),
        "}",
        "const g = async () => {",
        "  q();",
        "};",
      ].join("\n"),
    );
    const counted = functionsOf("sample.ts").filter((f) => f.lines > 1);
    expect(counted.map((f) => [f.line, f.lines])).toEqual([
      [1, 77],
      [161, 12],
      [346, 3],
    ]);
  });
});

describe("words", () => {
  const PROMOTIONAL = new RegExp(
    "\\b(powerful|intelligent|seamless|cutting-edge|elegant|sophisticated|robust|advanced)" +
      "(ly|ness)?\\b",
    "i",
  );

  test("README and docs praise nothing", () => {
    expect(documents).toContain("docs/protocol.md");
    const praised = documents.flatMap((name) =>
      textOf(name)
        .split("\n")
        .flatMap((line, i) =>
          PROMOTIONAL.test(line) && !/\btest refuses\b/.test(line)
            ? [`${name}:${i + 1} ${line}`]
            : [],
        ),
    );
    expect(praised).toEqual([]);
  });

  test("no path of the machine that it was built on is committed", () => {
    const own = [
      /(?<![\w.])\/(?:work|root)\/[\w.-]/,
      /(?<![\w.$}])\/home\/(?!<|\$|you\b|user\b|x\b)[\w-]+/,
      /(?<![\w.])\/Users\/[\w-]+\//,
      /\b[A-Z]:\\Users\\/,
      /(?<![\w.])\/tmp\/(?:go|parley|bash)\b/,
    ];
    const found = files
      .filter((name) => name !== "test/tidy.test.ts" && isText(name))
      .flatMap((name) =>
        textOf(name)
          .split("\n")
          .flatMap((line, i) =>
            own.some((pattern) => pattern.test(line)) ? [`${name}:${i + 1} ${line.trim()}`] : [],
          ),
      );
    expect(found).toEqual([]);
  });

  function isText(name: string): boolean {
    return !/\.(png|jpe?g|gif|ico|gz|tgz|wasm)$/.test(name);
  }
});

describe("documents", () => {
  test("the index of decisions names each of them, with its title", () => {
    const folder = join(root, "docs", "adr");
    const decisions = readdirSync(folder)
      .filter((name) => /^\d{4}-.*\.md$/.test(name))
      .sort();
    expect(decisions.length).toBeGreaterThan(1);
    const index = readFileSync(join(folder, "README.md"), "utf8");
    for (const name of decisions) {
      const title = /^# (.+)$/m.exec(textOf(`docs/adr/${name}`))?.[1];
      expect(title, `${name} has a title`).toMatch(/^\d{4} /);
      expect(index).toContain(`[${title}](${name})`);
      expect(textOf(`docs/adr/${name}`), name).toMatch(
        /^Status: (proposed|accepted|superseded by \d{4}|template)$/m,
      );
    }
    for (const [, target] of index.matchAll(/\]\((\d{4}-[^)]+)\)/g)) {
      expect(decisions).toContain(target);
    }
    const numbers = decisions.map((name) => Number(name.slice(0, 4)));
    expect(numbers).toEqual(numbers.map((_, i) => i));
  });

  const clauses = [...textOf("docs/protocol.md").matchAll(/^\*\*(P\d+\.\d+)\*\* /gm)].map(
    (m) => m[1] as string,
  );
  const cited = new Map<string, string>();
  for (const name of files.filter((n) => /^test\/(clauses|wire|cli)\//.test(n))) {
    for (const [, title] of textOf(name).matchAll(/\btest(?:\.fails)?\(\s*(["'`][^"'`]*)["'`]/g)) {
      for (const [clause] of (title ?? "").matchAll(/\bP\d+\.\d+\b/g)) cited.set(clause, name);
    }
  }

  test("every clause of the protocol has a test that cites it", () => {
    expect(clauses.length).toBeGreaterThan(60);
    expect(clauses.filter((clause) => !cited.has(clause))).toEqual([]);
  });

  test("every clause that is cited exists, and clauses are numbered without gaps", () => {
    expect([...cited.keys()].filter((clause) => !clauses.includes(clause))).toEqual([]);
    const expected = clauses.map((clause, i) => {
      const [chapter] = clause.slice(1).split(".");
      const first = clauses.findIndex((c) => c.startsWith(`P${chapter}.`));
      return `P${chapter}.${i - first + 1}`;
    });
    expect(clauses).toEqual(expected);
    const elsewhere = [...documents, ...sources]
      .filter((n) => !n.startsWith("test/clauses/"))
      .flatMap((n) => [...textOf(n).matchAll(/(?<![\w.])P\d+\.\d+\b/g)].map((m) => m[0]));
    expect(elsewhere.filter((clause) => !clauses.includes(clause))).toEqual([]);
  });

  test("links between documents lead somewhere", () => {
    const dead = documents.flatMap((name) =>
      [...withoutCode(textOf(name)).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)]
        .map((m) => join(dirname(name), m[1] as string))
        .filter((path) => !existsSync(join(root, path)))
        .map((path) => `${name} -> ${path}`),
    );
    expect(dead).toEqual([]);
  });

  function withoutCode(text: string): string {
    return text.replace(/```[\s\S]*?```/g, "").replace(/`[^`\n]*`/g, "");
  }
});

describe("dependencies", () => {
  interface Locked {
    packages: Record<string, { version?: string; license?: string; dev?: boolean }>;
  }
  const lock = JSON.parse(textOf("package-lock.json")) as Locked;
  const installed = Object.entries(lock.packages).filter(([path]) => path !== "");

  test("exactly one nats-core", () => {
    const found = installed.filter(([path]) => path.endsWith("node_modules/@nats-io/nats-core"));
    expect(found.map(([path]) => path)).toEqual(["node_modules/@nats-io/nats-core"]);
    const nested = [root, ...installed.map(([path]) => join(root, path))]
      .map((place) => join(place, "node_modules", "@nats-io", "nats-core"))
      .filter((place) => existsSync(place));
    expect(nested).toHaveLength(1);
  });

  test("what ships is under a licence of the list", () => {
    const LICENCES = [
      "Apache-2.0",
      "MIT",
      "ISC",
      "BSD-2-Clause",
      "BSD-3-Clause",
      "0BSD",
      "Unlicense",
      "CC0-1.0",
    ];
    const runtime = installed.filter(([, p]) => p.dev !== true);
    expect(runtime.length).toBeGreaterThan(10);
    expect(
      runtime
        .filter(([, p]) => !LICENCES.includes(p.license ?? "none"))
        .map(([path, p]) => `${path} ${p.license}`),
    ).toEqual([]);
  });

  test("every dependency is justified in a decision, and every justified one is there", () => {
    const { dependencies } = JSON.parse(textOf("package.json")) as {
      dependencies: Record<string, string>;
    };
    const decision = files.find((name) => /^docs\/adr\/\d{4}-runtime-dependencies\.md$/.test(name));
    const rows = [...textOf(decision ?? "").matchAll(/^\| `([^`]+)` \|/gm)].map((m) => m[1]);
    expect(rows.sort()).toEqual(Object.keys(dependencies).sort());
  });
});
