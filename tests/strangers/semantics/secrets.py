"""Secrets Manager: versions, labels and tags."""

from two_clouds import Cloud, Refusal, agrees, documented

FIRST, SECOND, THIRD, NOBODY = ("1" * 32, "2" * 32, "3" * 32, "9" * 32)
UPDATE_STAGE = "the model's UpdateSecretVersionStageRequest"


class Secret:
    """A new secret of one cloud, as a case uses it."""

    def __init__(self, cloud: Cloud):
        self.cloud, self.name = cloud, cloud.new_name()
        cloud("secretsmanager.CreateSecret", Name=self.name)

    def call(self, operation: str, **members):
        return self.cloud(f"secretsmanager.{operation}", SecretId=self.name, **members)

    def put(self, version: str, *labels: str, value: str = ""):
        members = {"VersionStages": list(labels)} if labels else {}
        value = value or f"value of {version}"
        return self.call("PutSecretValue", ClientRequestToken=version, SecretString=value, **members)

    def move(self, label: str, remove_from: str = "", to: str = ""):
        members = {"RemoveFromVersionId": remove_from} if remove_from else {}
        members |= {"MoveToVersionId": to} if to else {}
        return self.call("UpdateSecretVersionStage", VersionStage=label, **members)

    def labels(self) -> dict[str, list[str]]:
        """Each labelled version and its labels. moto lists versions without one as well."""
        stages = self.call("DescribeSecret").get("VersionIdsToStages", {})
        return {version: sorted(labels) for version, labels in stages.items() if labels}

    def tags(self) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self.call("DescribeSecret").get("Tags", [])}


def a_rotation_under_way(cloud: Cloud) -> Secret:
    """The second version is current, the first is previous, the third waits."""
    secret = Secret(cloud)
    for version, labels in [(FIRST, []), (SECOND, []), (THIRD, ["AWSPENDING", "mine"])]:
        secret.put(version, *labels)
    return secret


UNDER_WAY = {FIRST: ["AWSPREVIOUS"], SECOND: ["AWSCURRENT"], THIRD: ["AWSPENDING", "mine"]}


@agrees
def the_first_version_is_current_whatever_labels_it_asks_for(cloud):
    secret = Secret(cloud)
    answer = secret.put(FIRST, "AWSPENDING")
    return sorted(answer["VersionStages"]), secret.labels()


@agrees
def a_value_without_labels_becomes_current_and_awsprevious_follows(cloud):
    secret = Secret(cloud)
    return secret.put(FIRST)["VersionStages"], secret.put(SECOND)["VersionStages"], secret.labels()


@agrees
def a_pending_value_leaves_awscurrent_where_it_is(cloud):
    secret = a_rotation_under_way(cloud)
    return secret.labels(), secret.call("GetSecretValue")["VersionId"]


@agrees
def a_value_takes_its_labels_from_whoever_has_them_unasked(cloud):
    secret = Secret(cloud)
    secret.put(FIRST)
    secret.put(SECOND, "AWSPENDING", "mine")
    secret.put(THIRD, "AWSPENDING", "mine")
    return secret.labels()


@agrees
def the_token_is_the_versions_id(cloud):
    secret = Secret(cloud)
    answer = secret.put(FIRST)
    return answer["VersionId"], answer["Name"] == secret.name, answer["ARN"].startswith("arn:aws:secretsmanager:")


@agrees
def the_same_token_and_value_again_change_nothing(cloud):
    secret = a_rotation_under_way(cloud)
    again = secret.put(THIRD, "AWSPENDING", "mine")
    return again["VersionId"], sorted(again["VersionStages"]), secret.labels()


@documented(
    (["AWSPENDING", "mine"], UNDER_WAY),
    source="PutSecretValue: with a token that exists and the same data, `the operation succeeds but does nothing`",
    moto="puts the labels of the second call in the place of those that the version has",
)
def the_same_token_and_value_with_other_labels_change_nothing_either(cloud):
    secret = a_rotation_under_way(cloud)
    again = secret.put(THIRD, "theirs")
    return sorted(again["VersionStages"]), secret.labels()


@agrees
def the_same_token_with_another_value_is_refused(cloud):
    secret = a_rotation_under_way(cloud)
    refusal = secret.put(FIRST, "mine", value="another value")
    value = secret.call("GetSecretValue", VersionId=FIRST)["SecretString"]
    return refusal, refusal.message.replace(secret.call("DescribeSecret")["ARN"], "ARN"), value, secret.labels()


@documented(
    (Refusal("ResourceExistsException"), f"value of {THIRD}"),
    source="PutSecretValue: `if the secret data is different, then the operation fails`",
    moto="lets a version that bears AWSPENDING be overwritten",
)
def the_same_token_with_another_value_is_refused_for_a_pending_version_too(cloud):
    secret = a_rotation_under_way(cloud)
    refusal = secret.put(THIRD, "AWSPENDING", value="another value")
    return refusal, secret.call("GetSecretValue", VersionId=THIRD)["SecretString"]


@agrees
def a_token_has_32_to_64_characters(cloud):
    secret = Secret(cloud)
    return [secret.put(token) for token in ("x" * 31, "x" * 65)], secret.labels()


@agrees
def moving_awscurrent_moves_awsprevious_and_leaves_awspending(cloud):
    secret = a_rotation_under_way(cloud)
    secret.move("AWSCURRENT", remove_from=SECOND, to=THIRD)
    return secret.labels()


@agrees
def awscurrent_does_not_move_without_its_holder_being_named(cloud):
    secret = a_rotation_under_way(cloud)
    refusal = secret.move("AWSCURRENT", to=THIRD)
    return refusal, refusal.message, secret.labels()


@agrees
def awscurrent_does_not_move_when_another_holder_is_named(cloud):
    secret = a_rotation_under_way(cloud)
    return secret.move("AWSCURRENT", remove_from=FIRST, to=THIRD), secret.labels()


@agrees
def no_label_moves_when_another_holder_is_named(cloud):
    secret = a_rotation_under_way(cloud)
    return secret.move("mine", remove_from=FIRST, to=SECOND), secret.labels()


@documented(
    (Refusal("InvalidParameterException"), UNDER_WAY),
    source=f"{UPDATE_STAGE}.RemoveFromVersionId: `If the label is attached and you … do not specify this parameter …, "
    "then the operation fails`",
    moto="asks for the holder of AWSCURRENT alone, and puts any other label on both versions",
)
def no_label_moves_without_its_holder_being_named(cloud):
    secret = a_rotation_under_way(cloud)
    return secret.move("mine", to=FIRST), secret.labels()


@agrees
def a_label_that_nobody_has_is_put_on_a_version(cloud):
    secret = a_rotation_under_way(cloud)
    secret.move("new", to=THIRD)
    return secret.labels()


@agrees
def a_label_is_taken_off_and_the_version_stays_readable(cloud):
    secret = a_rotation_under_way(cloud)
    secret.move("AWSPREVIOUS", remove_from=FIRST)
    return secret.labels(), secret.call("GetSecretValue", VersionId=FIRST)["SecretString"]


@documented(
    {SECOND, THIRD},
    source="the model's DescribeSecretResponse.VersionIdsToStages: `the versions … that have staging labels attached`",
    moto="lists a version without a label, with an empty list",
)
def a_version_without_a_label_is_not_described(cloud):
    secret = a_rotation_under_way(cloud)
    secret.move("AWSPREVIOUS", remove_from=FIRST)
    return set(secret.call("DescribeSecret")["VersionIdsToStages"])


@documented(
    ({SECOND, THIRD}, {FIRST, SECOND, THIRD}),
    source="ListSecretVersionIds.IncludeDeprecated: versions without a label are listed only if it is true",
    moto="lists them always",
)
def a_version_without_a_label_is_listed_only_on_demand(cloud):
    secret = a_rotation_under_way(cloud)
    secret.move("AWSPREVIOUS", remove_from=FIRST)

    def listed(**members):
        return {version["VersionId"] for version in secret.call("ListSecretVersionIds", **members)["Versions"]}

    return listed(), listed(IncludeDeprecated=True)


@documented(
    (20, Refusal("LimitExceededException"), 20),
    source="Secrets Manager quotas: 20 staging labels across all versions of a secret",
    moto="knows no limit",
)
def a_secret_has_20_labels_at_most(cloud):
    secret = Secret(cloud)
    secret.put(FIRST)
    secret.put(SECOND, *(f"label-{number}" for number in range(19)))

    def count():
        return sum(len(labels) for labels in secret.labels().values())

    return count(), secret.put(THIRD, "one-more"), count()


@agrees
def what_is_not_there_is_not_found(cloud):
    """By the code alone: what moto says of a label that nobody has is what it says of a missing secret."""
    empty, secret, missing = Secret(cloud), a_rotation_under_way(cloud), cloud.new_name()
    by_label = secret.call("GetSecretValue", VersionStage="nobodys")
    by_version = secret.call("GetSecretValue", VersionId=NOBODY)
    no_value = empty.call("GetSecretValue")
    others = [
        cloud(f"secretsmanager.{operation}", SecretId=missing, **members)
        for operation, members in {
            "GetSecretValue": {},
            "DescribeSecret": {},
            "PutSecretValue": {"SecretString": "value"},
            "UpdateSecretVersionStage": {"VersionStage": "mine", "MoveToVersionId": FIRST},
            "TagResource": {"Tags": [{"Key": "key", "Value": "value"}]},
            "UntagResource": {"TagKeys": ["key"]},
            "DeleteSecret": {},
        }.items()
    ]
    messages = by_version.message, no_value.message, {other.message for other in others}
    return by_label, by_version, no_value, others, messages


@agrees
def a_label_and_a_version_must_name_the_same(cloud):
    secret = a_rotation_under_way(cloud)
    refusal = secret.call("GetSecretValue", VersionId=FIRST, VersionStage="AWSCURRENT")
    same = secret.call("GetSecretValue", VersionId=SECOND, VersionStage="AWSCURRENT")
    return refusal, refusal.message, same["SecretString"]


@agrees
def a_name_is_taken_once(cloud):
    secret = Secret(cloud)
    refusal = cloud("secretsmanager.CreateSecret", Name=secret.name)
    return refusal, refusal.message


@agrees
def tags_are_added_overwritten_and_removed_key_by_key(cloud):
    secret = Secret(cloud)
    pairs = [{"Key": key, "Value": value} for key, value in [("a", "1"), ("b", ""), ("c:d", "e=f g")]]
    secret.call("TagResource", Tags=pairs)
    secret.call("TagResource", Tags=[{"Key": "a", "Value": "2"}])
    before = secret.tags()
    return before, secret.call("UntagResource", TagKeys=["b", "never-there"]), secret.tags()


@agrees
def update_secret_makes_its_value_current(cloud):
    secret = a_rotation_under_way(cloud)
    answer = secret.call("UpdateSecret", SecretString="new", ClientRequestToken=NOBODY)
    return answer["VersionId"], secret.labels()


@documented(
    Refusal("ResourceExistsException"),
    source="UpdateSecret: a token that matches an existing version `results in an error`, whatever the value",
    moto="takes the same value again",
)
def update_secret_refuses_a_version_that_exists(cloud):
    secret = a_rotation_under_way(cloud)
    return secret.call("UpdateSecret", SecretString=f"value of {THIRD}", ClientRequestToken=THIRD)


@agrees
def a_deleted_secret_cannot_be_read_until_it_is_restored(cloud):
    secret = a_rotation_under_way(cloud)
    short = secret.call("DeleteSecret", RecoveryWindowInDays=6)
    secret.call("DeleteSecret", RecoveryWindowInDays=7)
    unreadable = secret.call("GetSecretValue")
    is_marked = "DeletedDate" in secret.call("DescribeSecret")
    secret.call("RestoreSecret")
    return short, unreadable, is_marked, secret.call("GetSecretValue")["VersionId"], secret.labels()


@documented(
    (Refusal("InvalidRequestException"), Refusal("InvalidRequestException"), UNDER_WAY),
    source="the model's InvalidRequestException, of both calls: `The secret is scheduled for deletion`",
    moto="stores values in a deleted secret and moves its labels",
)
def a_deleted_secret_does_not_change(cloud):
    secret = a_rotation_under_way(cloud)
    secret.call("DeleteSecret")
    put = secret.put(NOBODY)
    moved = secret.move("AWSCURRENT", remove_from=SECOND, to=THIRD)
    return put, moved, secret.labels()


@documented(
    (Refusal("InvalidRequestException"), UNDER_WAY),
    source="RotateSecret: while AWSPENDING is on another version than AWSCURRENT, a later call `returns an error`",
    moto="has its own rule for AWSPENDING, and without a function makes the version current at once",
)
def secrets_managers_own_rotation_keeps_off_a_rotation_under_way(cloud):
    secret = a_rotation_under_way(cloud)
    function = "arn:aws:lambda:eu-west-1:111122223333:function:rotates"
    return secret.call("RotateSecret", RotationLambdaARN=function), secret.labels()
