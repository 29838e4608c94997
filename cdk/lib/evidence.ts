// What an auditor is shown: a log group of its own, kept longer than other logs, and saved queries over it.
//
// The functions that alter the credential log each deed here, and those that have the last word of a run one line of
// JSON for the run and further lines for the last proof of every host (functions/lambda/src/evidence.rs). The hosts'
// own answers lie in the commands' log group.

import { RemovalPolicy } from "aws-cdk-lib";
import { CfnQueryDefinition, LogGroup } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { FUNCTION_LOG_GROUPS } from "./functions";
import { PREFIX } from "./names";
import type { Deployment } from "./rotations";

const EVIDENCE_LOG_GROUP = `/${PREFIX}/evidence`;

interface Query {
  readonly name: string;
  readonly logGroups: string[];
  readonly commands: readonly string[];
}

export class Evidence extends Construct {
  readonly log: LogGroup;

  constructor(scope: Construct, id: string, deployment: Deployment) {
    super(scope, id);
    this.log = new LogGroup(this, "log", {
      logGroupName: EVIDENCE_LOG_GROUP,
      retention: deployment.evidenceRetentionDays,
      removalPolicy: deployment.keep.includes("evidence")
        ? RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
        : RemovalPolicy.DESTROY,
    });
    const commandLogs = [...new Set(deployment.rotations.map(({ settings }) => settings.document.logGroup))];
    for (const { name, logGroups, commands } of [...ofRuns(), ...ofHosts(commandLogs)]) {
      new CfnQueryDefinition(this, name, {
        name: `${PREFIX}/${name}`,
        logGroupNames: logGroups,
        queryString: commands.join("\n| "),
      });
    }
  }
}

function ofRuns(): Query[] {
  return [
    {
      name: "runs and what became of each key",
      logGroups: [EVIDENCE_LOG_GROUP],
      commands: [
        "filter ispresent(evidence.ended)",
        "display evidence.ended, evidence.rotation, evidence.request.mode, evidence.promoted, evidence.key, evidence.keys.0.what, evidence.keys.0.key, evidence.hosts.proved, evidence.hosts.running, evidence.execution",
        "sort @timestamp desc",
      ],
    },
    {
      name: "what was done to keys and versions",
      logGroups: [EVIDENCE_LOG_GROUP],
      commands: [
        "filter ispresent(evidence.did)",
        "display evidence.at, evidence.rotation, evidence.did, evidence.key, evidence.version, evidence.execution",
        "sort @timestamp desc",
      ],
    },
    {
      name: "errors of runs",
      logGroups: [EVIDENCE_LOG_GROUP, ...FUNCTION_LOG_GROUPS],
      commands: [
        // Not by its level: Lambda takes a line without a time of its own for INFO.
        "filter ispresent(error) and ispresent(requestId)",
        "display @timestamp, @log, error, message, requestId",
        "sort @timestamp desc",
      ],
    },
  ];
}

function ofHosts(commandLogs: string[]): Query[] {
  // SSM names a stream <command>/<instance>/<step>/stdout, and a host's answer is one line of JSON.
  const answers = [
    'parse @logStream "*/*/*/stdout" as command, host, step',
    "filter ispresent(host) and ispresent(proved)",
  ];
  return [
    {
      name: "last proof of each host",
      logGroups: [EVIDENCE_LOG_GROUP],
      commands: [
        "filter ispresent(evidence.part)",
        // Logs Insights finds the first 200 fields of a line by itself, and a line with the proofs of 500 hosts has more.
        "fields jsonParse(@message) as line",
        "unnest line.evidence.proofs into proof",
        "stats latest(proof.proof) as lastProof, latest(proof.believed) as isBelieved, latest(proof.running) as isRunning, latest(@timestamp) as asOf by line.evidence.rotation, proof.host",
        "sort asOf desc",
      ],
    },
    {
      name: "answers of hosts that failed",
      logGroups: commandLogs,
      commands: [
        ...answers,
        "filter failed > 0",
        "display @timestamp, rotation, host, version, failures.0.error, failures.0.instance, failures.0.message",
        "sort @timestamp desc",
      ],
    },
  ];
}
