"""Step Functions: how executions are started and named. What a machine does is ministack's to judge."""

from local_aws import ACCOUNT, REGION
from two_clouds import MACHINE, Cloud, agrees

ELSEWHERE = f"arn:aws:states:{REGION}:{ACCOUNT}"


def start(cloud: Cloud, **members):
    # It reads only; the rotation itself is played in `everything`.
    return cloud(
        "stepfunctions.StartExecution", **({"stateMachineArn": MACHINE, "input": '{"mode": "plan"}'} | members)
    )


@agrees
def an_execution_bears_its_machines_name_and_its_own(cloud):
    name = cloud.new_name()
    started = start(cloud, name=name)
    described = cloud("stepfunctions.DescribeExecution", executionArn=started["executionArn"])
    members = ["executionArn", "stateMachineArn", "name", "input"]
    return [described[member] for member in members], started["executionArn"] == described["executionArn"]


@agrees
def a_name_is_not_used_again_for_another_input(cloud):
    name = cloud.new_name()
    start(cloud, name=name)
    return start(cloud, name=name, input='{"mode": "plan", "Comment": "other"}')


@agrees
def a_name_has_neither_colons_nor_blanks(cloud):
    longest = start(cloud, name=cloud.new_name().ljust(80, "x"))
    return [start(cloud, name=name) for name in ("2026-11-24T06:00:00Z", "a b")], longest["executionArn"]


@agrees
def an_input_is_json(cloud):
    return start(cloud, name=cloud.new_name(), input="{")


@agrees
def a_machine_or_an_execution_that_is_not_there_is_named_so(cloud):
    return [
        start(cloud, stateMachineArn=f"{ELSEWHERE}:stateMachine:missing"),
        cloud("stepfunctions.DescribeStateMachine", stateMachineArn=f"{ELSEWHERE}:stateMachine:missing"),
        cloud("stepfunctions.DescribeExecution", executionArn=f"{ELSEWHERE}:execution:missing:missing"),
        cloud("stepfunctions.GetExecutionHistory", executionArn=f"{ELSEWHERE}:execution:missing:missing"),
        cloud("stepfunctions.StopExecution", executionArn=f"{ELSEWHERE}:execution:missing:missing"),
    ]


@agrees
def what_is_no_arn_is_told_so(cloud):
    return [
        start(cloud, stateMachineArn="missing"),
        cloud("stepfunctions.DescribeExecution", executionArn="missing"),
    ]


@agrees
def the_newest_execution_is_listed_first(cloud):
    started = [start(cloud, name=cloud.new_name())["executionArn"] for _ in range(2)]
    listed = cloud("stepfunctions.ListExecutions", stateMachineArn=MACHINE, maxResults=2)["executions"]
    return [execution["executionArn"] for execution in listed] == started[::-1]
