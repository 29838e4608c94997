// The functions: one set serves every rotation, since the settings come with each execution. Those that only one kind
// of rotation has are made where a rotation of that kind is.

import { chmodSync, closeSync, copyFileSync, existsSync, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Duration, RemovalPolicy } from "aws-cdk-lib";
import { Effect, PolicyDocument, PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Architecture, Code, Function as LambdaFunction, LoggingFormat, Runtime } from "aws-cdk-lib/aws-lambda";
import { type ILogGroup, LogGroup } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { FUNCTION_NAMES, type FunctionName, functionName, functionRoleArn } from "./names";
import { functionsFor, functionsWith, policyOf, type RotationResources } from "./permissions";
import type { Deployment } from "./rotations";
import { acknowledgeWildcards } from "./wildcards";

/** Longer than two calls with all their retries, and shorter than the 90 seconds that the state machine waits. */
const TIMEOUT_SECONDS = 60;
/**
 * Memory, and with it CPU: a vCPU belongs to 1,769 MB, so that 128 MB are a fourteenth of one, and 256 MB a seventh.
 *
 * Measured in November 2026 on the binaries of `make build` for x86-64, behind a Runtime API, with the inputs of an
 * execution of the local AWS and TLS to it, all of Debian's authorities loaded; peak of resident memory, and CPU of a
 * process's first invocation and of later ones:
 *
 *   12 hosts                                    first  later
 *   promote-stage, rotate-iam-key     6.4 MiB    5 ms   1 ms
 *   plan-rotation                     7.4 MiB   20 ms  18 ms
 *   the other four                    7.4 MiB    8 ms   3 ms
 *   10,000 hosts of one region
 *   enumerate, plan, retire          20.8 MiB  246 ms 240 ms
 *
 * So memory decides nothing, and CPU does where a fleet is read: EC2's description of an instance is about seven times
 * as long as the local AWS's, so that 10,000 hosts may take 1.7 s of a vCPU. That is 24 s at 128 MB, too near to the
 * time-out beside a slow network, and 12 s at 256 MB. What reads no fleet answers in a tenth of a second at 128 MB.
 */
const MEMORY_MEGABYTES = { ofAFleet: 256, ofACredential: 128 };

/** The functions that read a fleet. */
const READS_A_FLEET: ReadonlySet<FunctionName> = new Set(functionsWith("ec2:DescribeInstances"));

/** The functions that alter the credential or have the last word of a run: their log is the evidence. */
const WRITES_EVIDENCE: ReadonlySet<FunctionName> = new Set([
  "enumerate-instances",
  "plan-rotation",
  "rotate-iam-key",
  "rotate-login-password",
  "promote-stage",
  "retire-iam-key",
  "retire-login-password",
]);

/** The functions that stage a credential: one run does at a time, and more at once would only find out that one does. */
const STAGES_A_CREDENTIAL: ReadonlySet<FunctionName> = new Set(["rotate-iam-key", "rotate-login-password"]);

/** The log groups of the functions that have one of their own. */
export const FUNCTION_LOG_GROUPS = FUNCTION_NAMES.filter((name) => !WRITES_EVIDENCE.has(name)).map(logGroupOf);

export class Functions extends Construct {
  /** The functions that the rotations need, by name. */
  private readonly byName: ReadonlyMap<FunctionName, LambdaFunction>;

  constructor(
    scope: Construct,
    id: string,
    private readonly deployment: Deployment,
    resources: readonly RotationResources[],
    private readonly evidence: ILogGroup,
    binariesFolder: string,
  ) {
    super(scope, id);
    const architecture = architectureOf(binariesFolder);
    const needed = functionsFor(deployment.rotations);
    this.byName = new Map(needed.map((name) => [name, this.make(name, resources, binariesFolder, architecture)]));
  }

  /** The ARN of a function that a rotation needs. */
  arnOf(name: FunctionName): string {
    const found = this.byName.get(name);
    if (found === undefined) throw new Error(`${name} was not made, for no rotation is of its kind`);
    return found.functionArn;
  }

  private make(
    name: FunctionName,
    resources: readonly RotationResources[],
    binariesFolder: string,
    architecture: Architecture,
  ): LambdaFunction {
    const { reservedConcurrency } = this.deployment;
    const log = WRITES_EVIDENCE.has(name) ? this.evidence : this.makeLog(name);
    const code = folderWithBootstrap(binaryOf(binariesFolder, name));
    const made = new LambdaFunction(this, name, {
      functionName: functionName(name),
      description: `Credential rotation: the state ${stateOf(name)}`,
      runtime: Runtime.PROVIDED_AL2023,
      architecture,
      handler: "bootstrap",
      code: Code.fromAsset(code),
      memorySize: READS_A_FLEET.has(name) ? MEMORY_MEGABYTES.ofAFleet : MEMORY_MEGABYTES.ofACredential,
      timeout: Duration.seconds(TIMEOUT_SECONDS),
      role: this.roleOf(name, resources, log),
      logGroup: log,
      loggingFormat: LoggingFormat.JSON,
      ...(STAGES_A_CREDENTIAL.has(name) && reservedConcurrency !== undefined
        ? { reservedConcurrentExecutions: reservedConcurrency }
        : {}),
      // It tells which permissions the functions lack.
      ...(name === "plan-rotation" ? { environment: { FUNCTION_ROLES: this.functionRoles() } } : {}),
    });
    // CDK has taken a copy.
    rmSync(code, { recursive: true });
    return made;
  }

  private makeLog(name: FunctionName): LogGroup {
    return new LogGroup(this, `${name}-log`, {
      logGroupName: logGroupOf(name),
      retention: this.deployment.logRetentionDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
  }

  private roleOf(name: FunctionName, resources: readonly RotationResources[], log: ILogGroup): Role {
    const work = policyOf(name, this.deployment, resources);
    const role = new Role(this, `${name}-role`, {
      roleName: functionName(name),
      description: `What the state ${stateOf(name)} of credential-rotation may do; cdk/lib/permissions.ts is the table`,
      assumedBy: new ServicePrincipal("lambda.amazonaws.com"),
      inlinePolicies: {
        work: new PolicyDocument({ statements: work }),
        log: new PolicyDocument({
          statements: [
            new PolicyStatement({
              effect: Effect.ALLOW,
              actions: ["logs:CreateLogStream", "logs:PutLogEvents"],
              // The group's ARN ends in `:*`, since Lambda names the streams.
              resources: [log.logGroupArn],
            }),
          ],
        }),
      },
    });
    acknowledgeWildcards(role, work);
    return role;
  }

  private functionRoles(): string {
    const { home, rotations } = this.deployment;
    const roles = functionsFor(rotations).map((name) => [name, functionRoleArn(home, name)]);
    return JSON.stringify(Object.fromEntries(roles));
  }
}

function logGroupOf(name: FunctionName): string {
  return `/aws/lambda/${functionName(name)}`;
}

/** The folder of the binaries that `make build` leaves. */
export function defaultBinariesFolder(): string {
  const target = process.env.CARGO_TARGET_DIR ?? join(__dirname, "..", "..", "target");
  return join(target, "release");
}

/** A folder with one file, the binary as Lambda wants it called; CDK zips it. */
function folderWithBootstrap(binary: string): string {
  const folder = mkdtempSync(join(tmpdir(), "credential-rotation-"));
  const bootstrap = join(folder, "bootstrap");
  copyFileSync(binary, bootstrap);
  chmodSync(bootstrap, 0o755);
  return folder;
}

function binaryOf(binariesFolder: string, name: FunctionName): string {
  const binary = join(binariesFolder, name);
  if (!existsSync(binary)) {
    throw new Error(`${binary} is missing: run \`make build\` first (or set CARGO_TARGET_DIR to where it was built)`);
  }
  return binary;
}

/** The architecture that the binaries were built for, as their ELF headers say; all must agree. */
export function architectureOf(binariesFolder: string): Architecture {
  const found = new Set(FUNCTION_NAMES.map((name) => architectureOfBinary(binaryOf(binariesFolder, name))));
  const [architecture, ...others] = found;
  if (architecture === undefined || others.length > 0) {
    throw new Error(`The binaries in ${binariesFolder} are of several architectures: run \`make build\` again`);
  }
  return architecture;
}

function architectureOfBinary(path: string): Architecture {
  const header = Buffer.alloc(20);
  const file = openSync(path, "r");
  readSync(file, header, 0, header.length, 0);
  closeSync(file);
  const isElf = header.subarray(0, 4).toString("latin1") === "\x7fELF";
  switch (isElf ? header.readUInt16LE(18) : 0) {
    case 0x3e:
      return Architecture.X86_64;
    case 0xb7:
      return Architecture.ARM_64;
    default:
      throw new Error(`${path} is no Linux binary for x86-64 or arm64: build it on such a Linux with \`make build\``);
  }
}

/** The state that a function is; each kind of rotation has a function of its own for some. */
export function stateOf(name: FunctionName): string {
  const states: Readonly<Record<FunctionName, string>> = {
    "enumerate-instances": "EnumerateInstances",
    "plan-rotation": "PlanRotation",
    "rotate-iam-key": "StageCredential",
    "rotate-login-password": "StageCredential",
    "send-command": "SendCommand",
    "poll-command": "PollCommand",
    "promote-stage": "PromoteStage",
    "retire-iam-key": "RetireCredential",
    "retire-login-password": "RetireCredential",
  };
  return states[name];
}
