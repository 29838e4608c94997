"""IAM's access keys, what an identity may do, and STS, which tells whether a key works."""

from datetime import datetime

from local_aws import ACCOUNT
from two_clouds import Cloud, Refusal, agrees, documented

HOME = "us-east-1"
UNKNOWN_KEY = "AKIAUNKNOWNUNKNOWN00"


class User:
    """A new IAM user of one cloud."""

    def __init__(self, cloud: Cloud):
        self.cloud, self.name = cloud, cloud.new_name()
        cloud("iam.CreateUser", region=HOME, UserName=self.name)

    def call(self, operation: str, **members):
        return self.cloud(f"iam.{operation}", region=HOME, UserName=self.name, **members)

    def new_key(self) -> tuple[str, str]:
        key = self.call("CreateAccessKey")["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    def become(self, status: str, key_id: str):
        return self.call("UpdateAccessKey", AccessKeyId=key_id, Status=status)

    def statuses(self) -> list[str]:
        return [key["Status"] for key in self.call("ListAccessKeys")["AccessKeyMetadata"]]


def who(cloud: Cloud, key: tuple[str, str]):
    return cloud("sts.GetCallerIdentity", key=key)


@agrees
def a_new_key_is_active_and_shows_its_secret_once(cloud):
    user = User(cloud)
    key = user.call("CreateAccessKey")["AccessKey"]
    (listed,) = user.call("ListAccessKeys")["AccessKeyMetadata"]
    shape = key["AccessKeyId"][:4], len(key["AccessKeyId"]), len(key["SecretAccessKey"]), key["Status"]
    return shape, sorted(key), sorted(listed), isinstance(key["CreateDate"], datetime)


@agrees
def a_user_has_two_keys_at_most_and_an_inactive_one_counts(cloud):
    user = User(cloud)
    first, _ = user.new_key()
    user.new_key()
    third = user.call("CreateAccessKey")
    user.become("Inactive", first)
    again = user.call("CreateAccessKey")
    user.call("DeleteAccessKey", AccessKeyId=first)
    return third, third.status, third.message, again, again.message, user.new_key()[0][:4], user.statuses()


@agrees
def a_key_is_made_inactive_and_active_again(cloud):
    user = User(cloud)
    key, _ = user.new_key()
    seen = [user.statuses()]
    for status in ("Inactive", "Inactive", "Active"):
        user.become(status, key)
        seen.append(user.statuses())
    return seen


@agrees
def a_deleted_key_is_gone(cloud):
    user = User(cloud)
    key, _ = user.new_key()
    first = user.call("DeleteAccessKey", AccessKeyId=key)
    return first, user.call("DeleteAccessKey", AccessKeyId=key), user.become("Active", key), user.statuses()


@agrees
def a_key_or_a_user_that_is_not_there_is_no_such_entity(cloud):
    user, missing = User(cloud), cloud.new_name()
    refusals = [
        user.become("Inactive", UNKNOWN_KEY),
        user.call("DeleteAccessKey", AccessKeyId=UNKNOWN_KEY),
        cloud("iam.GetAccessKeyLastUsed", region=HOME, AccessKeyId=UNKNOWN_KEY),
        cloud("iam.CreateAccessKey", region=HOME, UserName=missing),
        cloud("iam.ListAccessKeys", region=HOME, UserName=missing),
        cloud("iam.GetUser", region=HOME, UserName=missing),
    ]
    return refusals, [(refusal.status, refusal.message.rstrip(".")) for refusal in refusals]


@agrees
def a_key_of_another_user_is_no_such_entity(cloud):
    one, other = User(cloud), User(cloud)
    key, _ = one.new_key()
    return other.become("Inactive", key), other.call("DeleteAccessKey", AccessKeyId=key), one.statuses()


@documented(
    (Refusal("ValidationError"), ["Active"]),
    source="the model's statusType: Active, Inactive, Expired",
    moto="takes any word for a status",
)
def a_status_is_one_of_aws_words(cloud):
    user = User(cloud)
    key, _ = user.new_key()
    return user.become("Gone", key), user.statuses()


@agrees
def a_users_name_is_taken_once(cloud):
    refusal = User(cloud).call("CreateUser")
    return refusal, refusal.status


@agrees
def a_key_that_was_never_used_says_so(cloud):
    user = User(cloud)
    key, _ = user.new_key()
    answer = cloud("iam.GetAccessKeyLastUsed", region=HOME, AccessKeyId=key)
    return answer["UserName"] == user.name, answer["AccessKeyLastUsed"]


@agrees
def the_last_use_of_a_key_names_service_and_region(cloud):
    user = User(cloud)
    key = user.new_key()
    with cloud.checking_every_caller():
        who(cloud, key)
    used = cloud("iam.GetAccessKeyLastUsed", region=HOME, AccessKeyId=key[0])["AccessKeyLastUsed"]
    return used["ServiceName"], used["Region"], isinstance(used["LastUsedDate"], datetime)


@agrees
def sts_knows_who_signs(cloud):
    user = User(cloud)
    key = user.new_key()
    with cloud.checking_every_caller():
        identity = who(cloud, key)
    return identity["Account"], identity["Arn"], sorted(identity)


@agrees
def sts_refuses_a_wrong_secret_and_an_unknown_key(cloud):
    user = User(cloud)
    key, _ = user.new_key()
    with cloud.checking_every_caller():
        wrong, unknown = who(cloud, (key, "x" * 40)), who(cloud, (UNKNOWN_KEY, "x" * 40))
    return wrong, wrong.status, unknown, unknown.status, unknown.message


@agrees
def sts_refuses_a_deleted_key(cloud):
    user = User(cloud)
    key = user.new_key()
    user.call("DeleteAccessKey", AccessKeyId=key[0])
    with cloud.checking_every_caller():
        refusal = who(cloud, key)
    return refusal, refusal.status


@documented(
    (Refusal("InvalidClientTokenId"), True),
    source="IAM user guide, id_credentials_access-keys: a deactivated key cannot be used, and can be activated again",
    moto="lets an Inactive key in",
)
def sts_refuses_an_inactive_key_until_it_is_active_again(cloud):
    user = User(cloud)
    key = user.new_key()
    user.become("Inactive", key[0])
    with cloud.checking_every_caller():
        refusal = who(cloud, key)
    user.become("Active", key[0])
    with cloud.checking_every_caller():
        return refusal, "Arn" in who(cloud, key)


@agrees
def a_user_without_the_permission_is_told_who_may_not_do_what(cloud):
    user = User(cloud)
    key = user.new_key()
    with cloud.checking_every_caller():
        refusal = cloud("iam.ListAccessKeys", region=HOME, key=key, UserName=user.name)
    # moto's sentence ends here; AWS goes on with the resource and the reason.
    return refusal, refusal.status, refusal.message.partition(" on resource:")[0]


NO_SIMULATION = "has no SimulatePrincipalPolicy"


def simulated(cloud: Cloud, arn: str, actions: list[str], **members):
    """What a simulation says: each action and the word for it, and each resource with its own."""
    answer = cloud(
        "iam.SimulatePrincipalPolicy", region=HOME, PolicySourceArn=arn, ActionNames=actions, **members
    )
    if isinstance(answer, Refusal):
        return answer

    def on_each(result):
        parts = result.get("ResourceSpecificResults", [])
        return [(part["EvalResourceName"], part["EvalResourceDecision"]) for part in parts]

    results = answer["EvaluationResults"]
    return [(result["EvalActionName"], result["EvalDecision"], on_each(result)) for result in results]


@documented(
    [("s3:PutObject", "allowed", []), ("s3:ListBucket", "implicitDeny", []), ("iam:GetUser", "implicitDeny", [])],
    source="the model of SimulatePrincipalPolicy: each action is evaluated, on * where no resource is named",
    moto=NO_SIMULATION,
)
def a_simulation_has_a_word_for_each_action(cloud):
    arn = f"arn:aws:iam::{ACCOUNT}:user/{User(cloud).name}"
    return simulated(cloud, arn, ["s3:PutObject", "s3:ListBucket", "iam:GetUser"])


BACKUPS = [f"arn:aws:s3:::backups/{name}" for name in ("one", "two")]


@documented(
    [("s3:PutObject", "allowed", [(backup, "allowed") for backup in BACKUPS])],
    source="the model's EvaluationResult: ResourceSpecificResults hold the word for each resource that was named",
    moto=NO_SIMULATION,
)
def a_simulation_has_a_word_for_each_resource(cloud):
    arn = f"arn:aws:iam::{ACCOUNT}:user/{User(cloud).name}"
    context = [{"ContextKeyName": "aws:SourceIp", "ContextKeyType": "ip", "ContextKeyValues": ["10.0.0.1"]}]
    return simulated(cloud, arn, ["s3:PutObject"], ResourceArns=BACKUPS, ContextEntries=context)


@documented(
    [(["iam:GetUser", "iam:ListUsers"], True, True), (["iam:GetUser"], False, False)],
    source="the model: MaxItems, IsTruncated and Marker",
    moto=NO_SIMULATION,
)
def a_simulation_comes_in_pages(cloud):
    asked = {
        "PolicySourceArn": f"arn:aws:iam::{ACCOUNT}:user/{User(cloud).name}",
        "ActionNames": ["iam:GetUser", "iam:ListUsers", "iam:GetUser"],
        "MaxItems": 2,
    }
    first = cloud("iam.SimulatePrincipalPolicy", region=HOME, **asked)
    if isinstance(first, Refusal):
        return first
    second = cloud("iam.SimulatePrincipalPolicy", region=HOME, Marker=first["Marker"], **asked)

    def actions(page):
        return [result["EvalActionName"] for result in page["EvaluationResults"]]

    return [(actions(page), page["IsTruncated"], "Marker" in page) for page in (first, second)]


@documented(
    2 * [(Refusal("NoSuchEntity"), 404)] + 4 * [(Refusal("InvalidInput"), 400)],
    source="the model's NoSuchEntity and InvalidInput; the words for a session and for two kinds of actions: "
    "newrelic-lambda-cli's and aws-cloudformation/rain's sources, which met them in AWS",
    moto=NO_SIMULATION,
)
def a_simulation_of_nobody_or_of_no_action_is_refused(cloud):
    account, user = f"arn:aws:iam::{ACCOUNT}", User(cloud).name
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/credential-rotation-rotate-iam-key/rotate-iam-key"
    refusals = [
        simulated(cloud, f"{account}:role/{cloud.new_name()}", ["iam:GetUser"]),
        simulated(cloud, f"{account}:user/{cloud.new_name()}", ["iam:GetUser"]),
        simulated(cloud, session, ["iam:GetUser"]),
        simulated(cloud, f"{account}:user/{user}", ["GetUser"]),
        simulated(cloud, f"{account}:user/{user}", ["iam:GetUser"], ResourceArns=[user]),
        simulated(cloud, f"{account}:user/{user}", ["iam:GetUser", "s3:PutObject"], ResourceArns=BACKUPS),
    ]
    return [(refusal, refusal.status) for refusal in refusals]
