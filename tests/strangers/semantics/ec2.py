"""EC2: which instances are described, their states, and their tags, in which a rotation keeps its ledger."""

from two_clouds import HOSTS, Cloud, Refusal, agrees, documented

GONE = ["i-0fffffffffffffff0", "i-0fffffffffffffff1"]
EVERYONE = [f"host-{number}" for number in range(1, HOSTS + 1)]


def pair(key: str, value: str) -> dict:
    return {"Key": key, "Value": value}


def instances(cloud: Cloud, *filters: tuple[str, list[str]], **members) -> list[dict]:
    named = [{"Name": name, "Values": values} for name, values in filters]
    answer = cloud("ec2.DescribeInstances", Filters=named, **members)
    return [instance for reservation in answer["Reservations"] for instance in reservation["Instances"]]


def names(found: list[dict]) -> list[str]:
    """By name, since the ids of moto's instances are random."""
    return sorted(tag["Value"] for instance in found for tag in instance["Tags"] if tag["Key"] == "Name")


def one(cloud: Cloud, number: int) -> dict:
    (instance,) = instances(cloud, InstanceIds=[cloud.instances[number - 1]])
    return instance


def tags(cloud: Cloud, number: int) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in one(cloud, number)["Tags"]}


@agrees
def a_filter_takes_any_of_its_values(cloud):
    values = [["2022"], ["2019", "2022"], ["2019"], ["host-2"]]
    return [names(instances(cloud, ("tag:SQL", value))) for value in values]


@agrees
def several_filters_must_all_match(cloud):
    both = instances(cloud, ("tag:SQL", ["2022"]), ("tag:Name", ["host-2", "host-3"]))
    neither = instances(cloud, ("tag:SQL", ["2019"]), ("tag:Name", ["host-2"]))
    running = instances(cloud, ("tag:Name", ["host-2"]), ("instance-state-name", ["running", "stopped"]))
    return names(both), names(neither), names(running)


@agrees
def a_filters_value_may_hold_wildcards(cloud):
    patterns = ["20*", "20?2", "*", "20", "?022?", "host-*"]
    return [names(instances(cloud, ("tag:SQL", [pattern]))) for pattern in patterns]


@agrees
def keys_and_values_of_tags_are_compared_with_their_case(cloud):
    return names(instances(cloud, ("tag:sql", ["2022"]))), names(instances(cloud, ("tag:Name", ["HOST-2"])))


@agrees
def a_tags_key_alone_is_a_filter_too(cloud):
    cloud("ec2.CreateTags", Resources=[cloud.instances[0]], Tags=[pair("only-here", "")])
    return [names(instances(cloud, ("tag-key", [key]))) for key in ("only-here", "SQL", "nowhere")]


@agrees
def ids_are_a_filter_and_a_list(cloud):
    two = cloud.instances[:2]
    return names(instances(cloud, ("instance-id", two))), names(instances(cloud, InstanceIds=two))


@agrees
def a_page_has_a_token_until_the_last(cloud):
    first = cloud("ec2.DescribeInstances", MaxResults=5)
    second = cloud("ec2.DescribeInstances", MaxResults=5, NextToken=first["NextToken"])
    seen = [names(_all(page)) for page in (first, second)]
    return [len(page) for page in seen], sorted(seen[0] + seen[1]) == EVERYONE, "NextToken" in second


def _all(page: dict) -> list[dict]:
    return [instance for reservation in page["Reservations"] for instance in reservation["Instances"]]


@agrees
def pages_and_ids_do_not_go_together(cloud):
    return cloud("ec2.DescribeInstances", MaxResults=5, InstanceIds=cloud.instances[:1])


@agrees
def an_instance_that_is_not_there_fails_the_whole_description(cloud):
    alone = cloud("ec2.DescribeInstances", InstanceIds=GONE[:1])
    among = cloud("ec2.DescribeInstances", InstanceIds=[cloud.instances[0], *GONE])
    return alone, alone.status, alone.message, among


@agrees
def a_tag_is_added_or_overwritten_and_the_others_stay(cloud):
    target = [cloud.instances[1]]
    cloud("ec2.CreateTags", Resources=target, Tags=[pair("a", "1"), pair("b", ""), pair("c:d", "e f=g")])
    cloud("ec2.CreateTags", Resources=target, Tags=[pair("a", "2")])
    return tags(cloud, 2)


@documented(
    (Refusal("InvalidInstanceID.NotFound"), {"Name": "host-3", "SQL": "2022"}),
    source="no page of AWS's that we found says what becomes of the rest; the sandbox's README says what follows",
    moto="tags what is not there",
)
def a_batch_of_tags_fails_whole_when_one_instance_is_not_there(cloud):
    refusal = cloud("ec2.CreateTags", Resources=[cloud.instances[2], GONE[0]], Tags=[pair("batch", "1")])
    return refusal, tags(cloud, 3)


@agrees
def an_instance_has_50_tags_at_most(cloud):
    target = [cloud.instances[3]]
    cloud("ec2.CreateTags", Resources=target, Tags=[pair(f"key-{number}", "") for number in range(48)])
    more = cloud("ec2.CreateTags", Resources=target, Tags=[pair("one-more", "")])
    overwritten = cloud("ec2.CreateTags", Resources=target, Tags=[pair("key-0", "again")])
    return more, more.status, overwritten, len(tags(cloud, 4)), tags(cloud, 4)["key-0"]


@agrees
def a_batch_of_tags_fails_whole_when_one_instance_is_full(cloud):
    full = cloud.instances[4]
    cloud("ec2.CreateTags", Resources=[full], Tags=[pair(f"key-{number}", "") for number in range(48)])
    refusal = cloud("ec2.CreateTags", Resources=[cloud.instances[5], full], Tags=[pair("one-more", "")])
    return refusal, tags(cloud, 6)


@documented(
    (Refusal("InvalidParameterValue"), {"Name": "host-6", "SQL": "2022"}),
    source="the model's Tag.Key: `May not begin with aws:`",
    moto="takes it",
)
def a_key_that_begins_with_aws_is_refused(cloud):
    return cloud("ec2.CreateTags", Resources=[cloud.instances[5]], Tags=[pair("aws:mine", "")]), tags(cloud, 6)


@agrees
def a_tag_is_deleted_by_its_key_or_by_key_and_value(cloud):
    target = [cloud.instances[6]]
    cloud("ec2.CreateTags", Resources=target, Tags=[pair("a", "1"), pair("b", "2")])
    seen = []
    for tag in [pair("a", "other"), pair("a", "1"), {"Key": "b"}, {"Key": "never-there"}]:
        cloud("ec2.DeleteTags", Resources=target, Tags=[tag])
        seen.append(tags(cloud, 7))
    return seen


@agrees
def a_stopped_instance_is_still_described(cloud):
    target = [cloud.instances[7]]
    (stopping,) = cloud("ec2.StopInstances", InstanceIds=target)["StoppingInstances"]
    stopped = one(cloud, 8)["State"]
    (starting,) = cloud("ec2.StartInstances", InstanceIds=target)["StartingInstances"]
    return stopping["PreviousState"], stopped, starting["PreviousState"], one(cloud, 8)["State"]["Name"]


@documented(
    True,
    source="the model's Instance.LaunchTime: `The time that the instance was last launched`",
    moto="keeps the time of the first launch",
)
def a_start_gives_an_instance_a_new_launch_time(cloud):
    target, launched = [cloud.instances[7]], one(cloud, 8)["LaunchTime"]
    cloud("ec2.StopInstances", InstanceIds=target)
    cloud("ec2.StartInstances", InstanceIds=target)
    return one(cloud, 8)["LaunchTime"] > launched


@agrees
def a_terminated_instance_is_described_for_a_while(cloud):
    cloud("ec2.TerminateInstances", InstanceIds=[cloud.instances[6]])
    return one(cloud, 7)["State"]


@agrees
def a_description_has_what_a_rotation_reads(cloud):
    instance = one(cloud, 1)
    (disk,) = instance["BlockDeviceMappings"]
    times = type(instance["LaunchTime"]), type(disk["Ebs"]["AttachTime"])
    return instance["State"], times, disk["Ebs"]["Status"], sorted(disk)
