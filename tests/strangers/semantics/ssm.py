"""Systems Manager: documents, and what SendCommand takes. moto runs no command, so how one goes is not compared."""

import json
from datetime import datetime, timedelta

from two_clouds import Cloud, Refusal, agrees, documented

# To the letter, blanks and order of keys too.
CONTENT = """{"schemaVersion": "2.2", "description": "Does nothing.",
 "parameters": {"word": {"type": "String", "default": "a", "allowedPattern": "^[a-z]*$"}, "needed": {"type": "String"}},
 "mainSteps": [{"name": "nothing", "action": "aws:runShellScript", "inputs": {"runCommand": ["true"]}}]}"""


def create(cloud: Cloud, name: str, content: str = CONTENT):
    return cloud("ssm.CreateDocument", Name=name, Content=content, DocumentType="Command")


def new_document(cloud: Cloud) -> str:
    name = cloud.new_name()
    create(cloud, name)
    return name


def send(cloud: Cloud, name: str, **members):
    needed = {"DocumentName": name, "InstanceIds": cloud.instances[:1], "Parameters": {"needed": ["x"]}}
    return cloud("ssm.SendCommand", **(needed | members))


@agrees
def a_document_is_described_with_its_versions_and_parameters(cloud):
    name = cloud.new_name()
    created = create(cloud, name)["DocumentDescription"]
    described = cloud("ssm.DescribeDocument", Name=name)["Document"]
    members = ["Name", "Status", "DocumentVersion", "LatestVersion", "DefaultVersion", "SchemaVersion", "DocumentType"]
    parameters = [(entry["Name"], entry["Type"], entry.get("DefaultValue")) for entry in described["Parameters"]]
    return [[document[member] for member in members] for document in (created, described)], sorted(parameters)


@agrees
def a_documents_content_comes_back_to_the_letter(cloud):
    name = new_document(cloud)
    versions = [{}, {"DocumentVersion": "1"}, {"DocumentVersion": "$LATEST"}]
    return [cloud("ssm.GetDocument", Name=name, **version)["Content"] for version in versions]


@documented(
    "1",
    source="the model's DocumentVersion: a number, $LATEST or $DEFAULT",
    moto="knows no $DEFAULT",
)
def the_default_version_has_a_name(cloud):
    answer = cloud("ssm.GetDocument", Name=new_document(cloud), DocumentVersion="$DEFAULT")
    return answer if isinstance(answer, Refusal) else answer["DocumentVersion"]


@agrees
def a_documents_name_is_taken_once(cloud):
    refusal = create(cloud, new_document(cloud))
    return refusal, refusal.message


@agrees
def aws_names_are_refused(cloud):
    return [create(cloud, f"{prefix}-{cloud.new_name()}") for prefix in ("aws", "amazon", "amzn")]


@agrees
def content_that_is_no_document_is_refused(cloud):
    return [create(cloud, cloud.new_name(), content) for content in ("{", "{}")]


@agrees
def a_document_that_is_not_there_is_invalid(cloud):
    missing = cloud.new_name()
    return [cloud(f"ssm.{operation}", Name=missing) for operation in ("DescribeDocument", "GetDocument")]


@documented(
    [Refusal("InvalidDocumentVersion")] * 2,
    source="the model lists InvalidDocumentVersion for both calls: `The document version isn't valid or doesn't exist`",
    moto="calls it InvalidDocument",
)
def a_version_that_is_not_there_is_an_invalid_version(cloud):
    name = new_document(cloud)
    operations = ("DescribeDocument", "GetDocument")
    return [cloud(f"ssm.{operation}", Name=name, DocumentVersion="9") for operation in operations]


@documented(
    Refusal("MaxDocumentSizeExceeded"),
    source="CreateDocument, MaxDocumentSizeExceeded: `The size limit of a document is 64 KB`",
    moto="takes any size",
)
def a_document_has_64_kilobytes_at_most(cloud):
    content = json.loads(CONTENT) | {"description": "x" * 65_536}
    return create(cloud, cloud.new_name(), json.dumps(content))


@documented(
    [Refusal("InvalidDocument"), Refusal("InvalidDocumentVersion")],
    source="the model's errors of SendCommand",
    moto="sends what does not exist",
)
def a_command_needs_a_document_that_is_there(cloud):
    return [send(cloud, cloud.new_name()), send(cloud, new_document(cloud), DocumentVersion="9")]


@documented(
    [Refusal("InvalidParameters")] * 3,
    source="SendCommand, InvalidParameters: `You must specify values for all required parameters … You can only supply "
    "values to parameters defined in the SSM document`",
    moto="looks at no parameter",
)
def a_commands_parameters_are_those_of_the_document(cloud):
    name = new_document(cloud)
    wrong = [{}, {"needed": ["x"], "unknown": ["x"]}, {"needed": ["x"], "word": ["9"]}]
    return [send(cloud, name, Parameters=parameters) for parameters in wrong]


@documented(
    Refusal("InvalidInstanceId"),
    source="SendCommand, InvalidInstanceId: the node is unknown, not running or not managed",
    moto="sends to whatever is named, and to every instance that it knows besides",
)
def a_command_needs_managed_nodes(cloud):
    return send(cloud, new_document(cloud), InstanceIds=["i-0fffffffffffffff0"])


@documented(
    [Refusal("ValidationException")] * 6,
    source="the model's SendCommandRequest: 50 ids, a comment of 100 characters, TimeoutSeconds from 30, and the "
    "patterns of MaxConcurrency and MaxErrors",
    moto="looks at none of them",
)
def a_commands_limits_are_the_models(cloud):
    name = new_document(cloud)
    wrong = [
        {"InstanceIds": cloud.instances[:1] * 51},
        {"Comment": "x" * 101},
        {"TimeoutSeconds": 29},
        {"MaxConcurrency": "0"},
        {"MaxConcurrency": "101%"},
        {"MaxErrors": "-1"},
    ]
    return [send(cloud, name, **members) for members in wrong]


@agrees
def a_new_command_tells_what_was_asked(cloud):
    name = new_document(cloud)
    given = {"Comment": "why", "TimeoutSeconds": 60, "MaxConcurrency": "100%", "MaxErrors": "100%"}
    command = send(cloud, name, **given)["Command"]
    seen = {member: command[member] for member in [*given, "DocumentName", "Parameters", "Targets"]}
    is_sent_there = cloud.instances[0] in command["InstanceIds"]
    return seen, is_sent_there, len(command["CommandId"]), type(command["RequestedDateTime"])


@documented(
    timedelta(seconds=60 + 3600),
    source="SSM user guide, monitor-commands: the total time-out is TimeoutSeconds and the execution time-out, an hour "
    "where the document says none",
    moto="counts TimeoutSeconds alone",
)
def a_command_expires_after_both_of_its_timeouts(cloud):
    command = send(cloud, new_document(cloud), TimeoutSeconds=60)["Command"]
    return command["ExpiresAfter"] - command["RequestedDateTime"]


@agrees
def a_command_is_listed_by_its_id(cloud):
    sent = send(cloud, new_document(cloud))["Command"]
    (listed,) = cloud("ssm.ListCommands", CommandId=sent["CommandId"])["Commands"]
    return listed["CommandId"] == sent["CommandId"], type(listed["RequestedDateTime"]) is datetime


@agrees
def a_host_that_a_command_was_not_sent_to_has_no_invocation(cloud):
    sent = send(cloud, new_document(cloud))["Command"]
    return cloud("ssm.GetCommandInvocation", CommandId=sent["CommandId"], InstanceId="i-0fffffffffffffff0")
