"""SNS: what a notice may be."""

from local_aws import ACCOUNT, REGION
from two_clouds import TOPIC, Cloud, Refusal, agrees, documented

ARN = f"arn:aws:sns:{REGION}:{ACCOUNT}:{TOPIC}"


def publish(cloud: Cloud, message: str = "text", **members):
    return cloud("sns.Publish", Message=message, **({"TopicArn": ARN} | members))


@agrees
def a_notice_gets_an_id(cloud):
    return sorted(publish(cloud, Subject="subject")), sorted(publish(cloud))


@agrees
def a_topic_that_is_not_there_is_not_found(cloud):
    refusal = publish(cloud, TopicArn=f"{ARN}-other")
    return refusal, refusal.status


@agrees
def a_subject_of_more_than_100_characters_is_refused(cloud):
    return publish(cloud, Subject="x" * 101), sorted(publish(cloud, Subject="x" * 99))


@agrees
def a_message_of_more_than_262144_bytes_is_refused(cloud):
    return publish(cloud, "x" * 262_145), sorted(publish(cloud, "x" * 262_144))


@documented(
    (Refusal("InvalidParameter"), ["MessageId"]),
    source="the model's PublishInput.Message: `262,144 bytes, not 262,144 characters`",
    moto="counts characters",
)
def a_message_is_counted_in_bytes(cloud):
    return publish(cloud, "é" * 131_073), sorted(publish(cloud, "é" * 131_072))


@documented(
    Refusal("InvalidParameter"),
    source="the model's PublishInput.Subject: `less than 100 characters long`",
    moto="takes 100",
)
def a_subject_of_100_characters_is_refused(cloud):
    return publish(cloud, Subject="x" * 100)


@documented(
    [Refusal("InvalidParameter")] * 2,
    source="the model's PublishInput.Subject: `no line breaks or control characters`",
    moto="takes them",
)
def a_subject_is_one_line(cloud):
    return [publish(cloud, Subject=subject) for subject in ("two\nlines", "a\ttab")]


@agrees
def a_topic_is_listed_and_has_an_owner(cloud):
    topics = cloud("sns.ListTopics")["Topics"]
    return topics, cloud("sns.GetTopicAttributes", TopicArn=ARN)["Attributes"]["Owner"]
