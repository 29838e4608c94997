"""IAM's access keys, and STS, which tells whether a key works."""

from datetime import datetime

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
