// AWS's own command line, as the caller has configured it: its words, its answer, and its refusals by their code.

import { spawnSync } from "node:child_process";
import type { Json } from "./settings";

/** Calls AWS: the words of a command of AWS's command line, and its answer; null where it has none. */
export type Aws = (...words: string[]) => Json;

/** A longer answer than that is no description of a fleet. */
const LONGEST_ANSWER = 256 * 1024 * 1024;

/** AWS, or its command line, refused. */
export class AwsRefusal extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = "AwsRefusal";
  }
}

export const commandLine: Aws = (...words) => {
  const run = spawnSync("aws", [...words, "--output", "json"], { encoding: "utf8", maxBuffer: LONGEST_ANSWER });
  const command = `aws ${words.slice(0, 2).join(" ")}`;
  if (run.error !== undefined) {
    throw new AwsRefusal("NotStarted", `${command}: ${run.error.message}. Install AWS's command line`);
  }
  if (run.status !== 0) {
    const code = /An error occurred \((\w+)\)/.exec(run.stderr)?.[1] ?? "Unknown";
    throw new AwsRefusal(code, `${command}: ${run.stderr.trim()}`);
  }
  return run.stdout.trim() === "" ? null : (JSON.parse(run.stdout) as Json);
};
