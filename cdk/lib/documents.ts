// The SSM documents of the repository, each built from its folder and made in every region that has hosts.
//
// The rule of building is the local AWS's too (tests/sandbox/src/host/document.rs): a string that is exactly
// `{{script:PATH}}` becomes the text of that file, without indentation, blank lines and comment lines.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CfnDocument } from "aws-cdk-lib/aws-ssm";
import { Construct } from "constructs";
import { documentNames } from "./places";
import type { Rotation } from "./rotations";
import { isObject, type Json, readJson, STATE_MACHINE_FOLDER } from "./settings";

/** The most that SSM takes as a document's content (FACTS C). */
const CONTENT_LIMIT_BYTES = 64 * 1024;

const DOCUMENTS_FOLDER = join(STATE_MACHINE_FOLDER, "documents");

/** The documents of a region that our repository holds; others that settings name are their owners' to make. */
export class Documents extends Construct {
  constructor(scope: Construct, id: string, rotations: readonly Rotation[]) {
    super(scope, id);
    for (const name of documentsOf(rotations)) {
      const document = new CfnDocument(this, name, {
        name,
        documentType: "Command",
        documentFormat: "JSON",
        content: buildDocument(join(DOCUMENTS_FOLDER, name)),
        targetType: "/AWS::EC2::Instance",
        // A change becomes a new version beside the old ones, and `document.version` says which one a fleet gets.
        updateMethod: "NewVersion",
      });
      document.overrideLogicalId(logicalName(name));
    }
  }
}

/** The names of our documents that rotations use. */
export function documentsOf(rotations: readonly Rotation[]): string[] {
  const named = rotations.flatMap(({ settings }) => documentNames(settings));
  return [...new Set(named)].filter((name) => existsSync(join(DOCUMENTS_FOLDER, name, "document.json"))).sort();
}

/** The document of a folder, with its scripts in their places. */
export function buildDocument(folder: string): Json {
  const document = splice(readJson(join(folder, "document.json")), folder);
  const bytes = Buffer.byteLength(JSON.stringify(document));
  if (bytes > CONTENT_LIMIT_BYTES) {
    throw new Error(
      `The document in ${folder} has ${bytes} bytes, and SSM takes ${CONTENT_LIMIT_BYTES}: shorten its scripts`,
    );
  }
  return document;
}

function splice(value: Json, folder: string): Json {
  if (Array.isArray(value)) return value.map((item) => splice(item, folder));
  if (isObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, splice(member, folder)]));
  }
  const script = typeof value === "string" ? /^\{\{script:(.+)\}\}$/.exec(value)?.[1] : undefined;
  return script === undefined ? value : linesThatRun(readFileSync(join(folder, script), "utf8"));
}

function linesThatRun(script: string): string {
  const runs = (line: string) => line !== "" && (!line.startsWith("#") || line.startsWith("#!"));
  return script
    .split(/\r?\n/)
    .map((line) => line.trimStart())
    .filter(runs)
    .join("\n");
}

function logicalName(name: string): string {
  return `Document${name.split("-").map(capitalised).join("")}`;
}

function capitalised(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
