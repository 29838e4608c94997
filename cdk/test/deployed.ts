// Synthesises deployments for the tests: the example of the repository, or one that a test has changed, with binaries
// that have nothing but the head of a Linux binary.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { App, type Stack } from "aws-cdk-lib";
import { addStacks } from "../lib/app";
import { FUNCTION_NAMES } from "../lib/names";
import { completeDeployment } from "../lib/rotations";
import { isObject, type Json, readJson } from "../lib/settings";

export type JsonObject = { [name: string]: Json };

/** A template, as far as tests look into it. */
export interface Template {
  readonly Resources: { readonly [name: string]: Resource };
  readonly Outputs?: { readonly [name: string]: { readonly Value: Json } };
}

export interface Resource {
  readonly Type: string;
  readonly Properties: JsonObject;
  readonly DeletionPolicy?: string;
  readonly DependsOn?: string[];
}

/** The time at which every test deploys. */
export const NOW = new Date("2026-11-24T14:00:00Z");

/** rotations.json of the repository. */
export function example(): JsonObject {
  const file = readJson(join(__dirname, "..", "rotations.json"));
  if (!isObject(file)) throw new Error("rotations.json is no object");
  return file;
}

/** The example with a rotation of each kind. */
export function exampleOfBothKinds(): JsonObject {
  const file = readJson(join(__dirname, "..", "examples", "keys-and-logins.json"));
  if (!isObject(file)) throw new Error("keys-and-logins.json is no object");
  return file;
}

/** The example's one rotation. */
export function exampleRotation(file: JsonObject): JsonObject {
  const [rotation] = file.rotations as Json[];
  if (!isObject(rotation)) throw new Error("rotations.json has no rotation");
  return rotation;
}

/** What is deployed: every stack's template by name, and what cdk-nag says of them. */
export class Deployed {
  private constructor(
    readonly templates: ReadonlyMap<string, Template>,
    readonly report: JsonObject,
  ) {}

  /** Synthesises the example after `change`, with what `add` adds to its stack. */
  static async synthesised(
    change: (file: JsonObject) => void = () => undefined,
    add: (stack: Stack) => void = () => undefined,
    file: JsonObject = example(),
  ): Promise<Deployed> {
    change(file);
    const binariesFolder = folderOfBinaries(0x3e);
    const outdir = mkdtempSync(join(tmpdir(), "cdk-test-"));
    const app = new App({ outdir });
    add(addStacks(app, completeDeployment(file), { binariesFolder, now: NOW }));
    const assembly = app.synth();
    const templates = new Map(assembly.stacks.map((stack) => [stack.stackName, stack.template as Template]));
    const report = JSON.parse(readFileSync(join(outdir, "validation-report.json"), "utf8")) as JsonObject;
    for (const folder of [binariesFolder, outdir]) rmSync(folder, { recursive: true });
    return new Deployed(templates, report);
  }

  /** A stack's template. */
  template(stack = "credential-rotation"): Template {
    const template = this.templates.get(stack);
    if (template === undefined)
      throw new Error(`no stack ${stack}; there are ${[...this.templates.keys()].join(", ")}`);
    return template;
  }

  /** The resources of a type. */
  all(type: string, stack?: string): Resource[] {
    return Object.values(this.template(stack).Resources).filter((resource) => resource.Type === type);
  }

  /** The one resource of a type, or the one of them whose property has a value. */
  one(type: string, property?: string, value?: Json, stack?: string): Resource {
    const found = this.all(type, stack).filter((it) => property === undefined || it.Properties[property] === value);
    const [only, ...others] = found;
    if (only === undefined || others.length > 0)
      throw new Error(`${found.length} of ${type} with ${property} ${value}`);
    return only;
  }
}

/** A folder with a binary a function; `machine` is the architecture in an ELF header. */
export function folderOfBinaries(machine: number): string {
  const folder = mkdtempSync(join(tmpdir(), "binaries-"));
  for (const name of FUNCTION_NAMES) writeFileSync(join(folder, name), elf(machine, name));
  return folder;
}

/** The head of an ELF file, and something that tells one from another. */
export function elf(machine: number, content: string): Buffer {
  const header = Buffer.alloc(64);
  header.write("\x7fELF", 0, "latin1");
  header.writeUInt16LE(machine, 18);
  return Buffer.concat([header, Buffer.from(content)]);
}

/** Every JSON object in a value, however deep. */
export function* objectsIn(value: Json | undefined): Generator<JsonObject> {
  if (Array.isArray(value)) for (const item of value) yield* objectsIn(item);
  if (!isObject(value)) return;
  yield value;
  for (const member of Object.values(value)) yield* objectsIn(member);
}

/** One or several strings, as policies write them. */
export function listOf(value: Json | undefined): Json[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}
