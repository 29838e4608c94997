"""EventBridge: what an event may be, and that each entry of a call has an end of its own."""

import json

from two_clouds import Cloud, agrees

GOOD = {"Source": "credential-rotation", "DetailType": "Promoted", "Detail": json.dumps({"rotation": "sql-backups"})}


def put(cloud: Cloud, *entries: dict):
    return cloud("events.PutEvents", Entries=list(entries))


def ends(answer: dict) -> list:
    """How many failed, and of each entry its error, if any."""
    return [answer["FailedEntryCount"], *(entry.get("ErrorCode", "EventId" in entry) for entry in answer["Entries"])]


@agrees
def an_event_gets_an_id(cloud):
    return ends(put(cloud, GOOD))


@agrees
def an_entry_that_fails_fails_alone(cloud):
    unnamed = {name: GOOD[name] for name in ("Source", "Detail")}
    of_nobody = {name: GOOD[name] for name in ("DetailType", "Detail")}
    return ends(put(cloud, GOOD, GOOD | {"Detail": "no JSON"}, unnamed, of_nobody))


@agrees
def a_call_takes_ten_events(cloud):
    return ends(put(cloud, *[GOOD] * 10)), put(cloud, *[GOOD] * 11)
