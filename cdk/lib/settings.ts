// A rotation's settings: completed with the schema's defaults, checked against the schema, then checked for what no
// schema can say. The local AWS takes the same three steps (tests/sandbox/src/settings_file.rs), so that what is
// accepted here runs there.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv2020, type ErrorObject } from "ajv/dist/2020";
import { refuseContradictions } from "./settings-contradictions";

/** The repository's folder with the state machine, its settings' schema and the SSM documents. */
export const STATE_MACHINE_FOLDER = join(__dirname, "..", "..", "statemachine");

/** Settings as the state machine carries them: complete. */
export type Settings = AccessKeySettings | LoginRotationSettings;

/** What is rotated. */
export type Kind = Settings["kind"];

/** What every rotation is told. */
interface SharedSettings {
  readonly rotation: string;
  readonly secret: { readonly id: string; readonly format: "json" | "plain" };
  readonly fleet: { readonly tags: readonly TagCondition[]; readonly targets: readonly AccountTarget[] };
  readonly document: { readonly name: string; readonly version: string; readonly logGroup: string };
  readonly inspectDocument: { readonly name: string; readonly version: string };
  readonly sqlServer: { readonly administratorSecret?: string; readonly endpoints: readonly string[] };
  readonly schedule: ScheduleSettings;
  readonly waves: WaveSettings;
  readonly topic: string;
}

/** The access key of an IAM user, which SQL Server backs up to S3 with. */
export interface AccessKeySettings extends SharedSettings {
  readonly kind: "iamAccessKey";
  readonly user: string;
  readonly credentials: readonly string[];
  readonly foreignCredentials: readonly string[];
  readonly proof: { readonly kind: "backup" | "none"; readonly prefix: string };
  readonly schedule: ScheduleSettings & RetirementSettings;
}

/** The password of a SQL Server login, or of two that take turns. */
export interface LoginRotationSettings extends SharedSettings {
  readonly kind: "sqlServerLogin";
  readonly login: LoginSettings;
}

export interface LoginSettings {
  readonly names: readonly string[];
  readonly instances: readonly string[];
  readonly createMissing: boolean;
  readonly containedDatabases: readonly string[];
  readonly replicaGroups: readonly string[];
  readonly password: PasswordRules;
}

export interface PasswordRules {
  readonly excludeCharacters: string;
  readonly excludeUppercase: boolean;
  readonly excludeLowercase: boolean;
  readonly excludeNumbers: boolean;
  readonly excludePunctuation: boolean;
}

/** One condition on the tags of an instance. */
export interface TagCondition {
  readonly key: string;
  readonly values: readonly string[];
}

/** An account of the fleet, and the role to assume there. */
export interface AccountTarget {
  readonly account: string;
  readonly role?: string;
  readonly regions: readonly string[];
}

export interface ScheduleSettings {
  readonly rotateEveryDays: number;
  readonly maximumAgeDays: number;
  readonly paused: boolean;
}

/** When an old key goes. */
export interface RetirementSettings {
  readonly overlapDays: number;
  readonly quietPeriodHours: number;
  readonly deleteAfterDays: number;
}

export interface WaveSettings {
  readonly attempts: number;
  readonly deliveryTimeoutSeconds: number;
  readonly executionTimeoutSeconds: number;
  readonly waveTimeoutSeconds: number;
}

/** Settings that cannot be deployed. */
export class InvalidSettings extends Error {
  constructor(
    readonly path: string,
    readonly problem: string,
    remedy: string,
  ) {
    super(`${path}: ${problem}. ${remedy}`);
    this.name = "InvalidSettings";
  }
}

/** JSON, as far as it is not known yet. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** A JSON Schema, as far as defaults are concerned. */
interface SchemaNode {
  readonly default?: Json;
  readonly properties?: { readonly [name: string]: SchemaNode };
  readonly if?: { readonly properties: { readonly kind: { readonly const: string } } };
  readonly then?: SchemaNode;
  readonly else?: SchemaNode;
}

/** Reads a JSON file. */
export function readJson(path: string): Json {
  return JSON.parse(readFileSync(path, "utf8")) as Json;
}

/**
 * Fills in the schema's defaults, property by property; an object that is itself a default is completed in turn. What
 * only one kind of rotation has stands in the branches of the schema's `if`.
 */
export function fillDefaults(schema: SchemaNode, value: Json): void {
  if (!isObject(value)) return;
  fillProperties(schema, value);
  const kind = schema.if?.properties.kind.const;
  const branch = kind === undefined ? undefined : value.kind === kind ? schema.then : schema.else;
  if (branch !== undefined) fillProperties(branch, value);
}

function fillProperties(schema: SchemaNode, value: { [name: string]: Json }): void {
  for (const [name, rule] of Object.entries(schema.properties ?? {})) {
    if (rule.default !== undefined && value[name] === undefined) value[name] = structuredClone(rule.default);
    const member = value[name];
    if (member !== undefined) fillDefaults(rule, member);
  }
}

/** Completes a value by a schema and refuses what the schema refuses, with the JSON path below `at`. */
export function completeBySchema(schemaPath: string, given: Json, at: string): Json {
  const schema = readJson(schemaPath);
  const value = structuredClone(given);
  fillDefaults(schema as SchemaNode, value);
  const validate = new Ajv2020({ allErrors: true, strict: false }).compile(schema as object);
  if (validate(value)) return value;
  const errors = validate.errors ?? [];
  // A kind that there is not makes every setting of the kind that was meant look wrong.
  const error = errors.find(({ instancePath }) => instancePath === "/kind") ?? errors[0];
  if (error === undefined) throw new InvalidSettings(at, "is not valid", `See ${schemaPath}`);
  throw new InvalidSettings(pathOf(error, at), problemOf(error), remedyOf(error, schemaPath));
}

/** Completes and checks the settings of one rotation. */
export function completeSettings(given: Json, at: string): Settings {
  const complete = completeBySchema(join(STATE_MACHINE_FOLDER, "settings.schema.json"), given, at);
  // The schema was just enforced; the type is its shape.
  const settings = complete as unknown as Settings;
  refuseContradictions(settings, at);
  return settings;
}

export function isObject(value: Json | undefined): value is { [name: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function pathOf(error: ErrorObject, at: string): string {
  const below = error.instancePath.replace(/\/(\d+)/g, "[$1]").replace(/\//g, ".");
  return (at + below).replace(/^\./, "") || "(the top)";
}

function problemOf(error: ErrorObject): string {
  switch (error.keyword) {
    case "additionalProperties":
      return `there is no setting ${JSON.stringify(error.params.additionalProperty)}`;
    case "unevaluatedProperties":
      return `there is no setting ${JSON.stringify(error.params.unevaluatedProperty)} for this kind of rotation`;
    case "required":
      return `${JSON.stringify(error.params.missingProperty)} is missing`;
    case "enum":
      return `must be one of ${error.params.allowedValues.map((value: Json) => JSON.stringify(value)).join(", ")}`;
    default:
      return error.message ?? "is not valid";
  }
}

function remedyOf(error: ErrorObject, schemaPath: string): string {
  const file = schemaPath.slice(join(__dirname, "..", "..").length + 1);
  const what = error.keyword === "required" ? "Add it" : "Correct it";
  return `${what}: ${file} says what each setting means and may be`;
}
