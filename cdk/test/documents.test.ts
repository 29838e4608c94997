// The SSM documents: the scripts that run on hosts, all of what runs in them, and within SSM's limit.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { STATE_MACHINE_FOLDER } from "../lib/settings";
import { Deployed, exampleRotation, objectsIn } from "./deployed";

let deployed: Deployed;
beforeAll(async () => {
  deployed = await Deployed.synthesised();
});

const folder = (name: string) => join(STATE_MACHINE_FOLDER, "documents", name);

function documents(of: Deployed): string[] {
  return of.all("AWS::SSM::Document").map(({ Properties }) => String(Properties.Name));
}

describe("the documents", () => {
  it("that the settings name are made, each change as a new version", () => {
    expect(documents(deployed)).toEqual(["apply-s3-credential", "inspect-s3-credential"]);
    for (const { Properties } of deployed.all("AWS::SSM::Document")) {
      expect(Properties).toMatchObject({ DocumentType: "Command", DocumentFormat: "JSON", UpdateMethod: "NewVersion" });
    }
  });

  it("that somebody else made are left to them", async () => {
    const other = await Deployed.synthesised((file) => (exampleRotation(file).document = { name: "our-own" }));
    expect(documents(other)).toEqual(["inspect-s3-credential"]);
  });

  it("hold every line that runs of every script, in its order, and nothing else", () => {
    for (const { Properties } of deployed.all("AWS::SSM::Document")) {
      const name = String(Properties.Name);
      const source = readFileSync(join(folder(name), "document.json"), "utf8");
      const paths = [...source.matchAll(/\{\{script:([^}]+)\}\}/g)].map(([, path]) => path ?? "");
      expect(paths.length, name).toBeGreaterThan(1);
      const spliced = [...objectsIn(Properties.Content)].flatMap((it) => (it.runCommand as string[] | undefined) ?? []);
      expect(spliced).toHaveLength(paths.length);
      for (const [index, path] of paths.entries()) {
        const lines = readFileSync(join(folder(name), path), "utf8").split("\n");
        const runs = lines.map((line) => line.trimStart()).filter((line) => line !== "" && !/^#(?!!)/.test(line));
        expect(spliced[index]?.split("\n"), path).toEqual(runs);
      }
    }
  });

  it("fit what SSM takes", () => {
    for (const { Properties } of deployed.all("AWS::SSM::Document")) {
      expect(Buffer.byteLength(JSON.stringify(Properties.Content))).toBeLessThanOrEqual(64 * 1024);
    }
  });
});
