// The definition in the template: the repository's file, valid Amazon States Language, with the settings inside.

import aslValidator = require("asl-validator");

import { beforeAll, describe, expect, it } from "vitest";
import { completeDeployment } from "../lib/rotations";
import { isObject, type Json } from "../lib/settings";
import { readDefinition, withSettings } from "../lib/state-machine";
import { Deployed, example, type JsonObject, objectsIn } from "./deployed";

let deployed: Deployed;
beforeAll(async () => {
  deployed = await Deployed.synthesised();
});

function definition(): JsonObject {
  const { DefinitionString } = deployed.one("AWS::StepFunctions::StateMachine").Properties;
  const parsed = JSON.parse(String(DefinitionString)) as Json;
  if (!isObject(parsed)) throw new Error("the definition is no object");
  return parsed;
}

describe("the state machine", () => {
  it("is valid, whole, and has a time limit", () => {
    const { isValid, errorsText } = aslValidator(JSON.parse(withoutTokens(JSON.stringify(definition()))));
    expect(errorsText("\n")).toBe("");
    expect(isValid).toBe(true);
    expect(definition().TimeoutSeconds).toBe(43_200);
  });

  it("carries the settings, with every default, in its first state", () => {
    const states = definition().States as { Settings: { Result: JsonObject } };
    const [rotation] = completeDeployment(example()).rotations;
    expect(states.Settings.Result).toEqual(rotation?.settings);
  });

  it("has one function for each token, and may call what its tasks call and nothing else", () => {
    const machine = deployed.one("AWS::StepFunctions::StateMachine").Properties;
    const tasks = new Set([...objectsIn(definition())].filter((it) => it.Type === "Task").map((it) => it.Resource));
    const tokens = [...tasks].filter((it) => String(it).startsWith("${")).map((it) => String(it).slice(2, -1));
    expect(Object.keys(machine.DefinitionSubstitutions as JsonObject).sort()).toEqual(tokens.sort());
    const policies = JSON.stringify(deployed.all("AWS::IAM::Policy"));
    for (const other of tasks) {
      if (other === "arn:aws:states:::sns:publish") expect(policies).toContain('"sns:Publish"');
      if (other === "arn:aws:states:::events:putEvents") expect(policies).toContain('"events:PutEvents"');
    }
  });

  it("is traced and logged without its data", () => {
    expect(deployed.one("AWS::StepFunctions::StateMachine").Properties).toMatchObject({
      StateMachineName: "credential-rotation-sql-backups",
      TracingConfiguration: { Enabled: true },
      LoggingConfiguration: { Level: "ALL", IncludeExecutionData: false },
    });
  });

  it("is encrypted with a key that is brought", async () => {
    const key = "arn:aws:kms:eu-west-1:111122223333:key/11111111-2222-3333-4444-555555555555";
    const encrypted = await Deployed.synthesised((file) => (file.stateMachineKey = key));
    expect(encrypted.one("AWS::StepFunctions::StateMachine").Properties.EncryptionConfiguration).toMatchObject({
      KmsKeyId: key,
      Type: "CUSTOMER_MANAGED_KMS_KEY",
    });
  });
});

describe("the definition", () => {
  it("is refused where the settings have no place, or two", () => {
    const [rotation] = completeDeployment(example()).rotations;
    if (rotation === undefined) throw new Error("no rotation");
    expect(() => withSettings("{}", rotation.settings)).toThrow("holds it 0x");
    expect(() => withSettings('["${Settings}", "${Settings}"]', rotation.settings)).toThrow("holds it 2x");
    expect(withSettings(readDefinition(), rotation.settings)).toContain('"rotation":"sql-backups"');
  });
});

/** Function ARNs in place of the tokens, as CloudFormation puts them. */
function withoutTokens(text: string): string {
  return text.replace(/\$\{(\w+)\}/g, "arn:aws:lambda:eu-west-1:111122223333:function:$1");
}
