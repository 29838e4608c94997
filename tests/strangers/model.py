"""What an answer on the wire holds that AWS's own model (botocore's `service-2.json`) does not know.

boto3 passes over unknown members without a word, so a member that is misspelled or misplaced looks like one that was
left out. Here every answer is looked through as it came, beside the model of its operation.
"""

import json
from xml.etree import ElementTree

from botocore.model import OperationModel, Shape

SCALARS = {
    "string": str,
    "character": str,
    "blob": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
}


def strange_members(operation: OperationModel, body: bytes) -> list[str]:
    """Where the answer strays from the model: unknown members, missing required ones, values of another type."""
    shape = operation.output_shape
    protocol = operation.service_model.metadata["protocol"]
    place = f"{operation.service_model.service_name}.{operation.name}"
    if protocol == "json":
        return list(_json(shape, json.loads(body or b"{}"), place)) if shape else []
    if protocol in ("query", "ec2"):
        return list(_document(shape, ElementTree.fromstring(body), place, protocol))
    return []


def _json(shape: Shape, value, place: str):
    if shape.type_name == "structure":
        if not isinstance(value, dict):
            yield f"{place} is no structure"
            return
        names = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        yield from (f"{place}.{name} is unknown" for name in value.keys() - names.keys())
        yield from (f"{place}.{name} is missing" for name in shape.required_members if name not in value)
        for name in value.keys() & names.keys():
            yield from _json(names[name], value[name], f"{place}.{name}")
    elif shape.type_name == "list":
        for item in value:
            yield from _json(shape.member, item, f"{place}[]")
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from _json(shape.value, item, f"{place}[{key}]")
    elif not isinstance(value, SCALARS[shape.type_name]) or (isinstance(value, bool) and shape.type_name != "boolean"):
        yield f"{place} is {type(value).__name__} and not {shape.type_name}"
    elif value not in (getattr(shape, "enum", None) or [value]):
        yield f"{place} is `{value}`, which is none of its values"


def _document(shape: Shape | None, root: ElementTree.Element, place: str, protocol: str):
    """EC2's members lie in the root beside the request's id, the others' in an element named after the operation."""
    if protocol == "ec2":
        yield from _xml(shape, root, place, protocol, {"requestId"})
        return
    for child in root:
        name = _name(child)
        if shape is not None and name == shape.serialization.get("resultWrapper", f"{place.split('.')[1]}Result"):
            yield from _xml(shape, child, place, protocol)
        elif name != "ResponseMetadata" and (shape is not None or len(child)):
            yield f"{place}.{name} is unknown"


def _xml(shape: Shape | None, element: ElementTree.Element, place: str, protocol: str, also: set = frozenset()):
    if shape is None:
        # EC2 says `return` where the model has no output.
        yield from (f"{place}.{_name(child)} is unknown" for child in element if _name(child) not in also | {"return"})
    elif shape.type_name == "structure":
        names = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        seen = {_name(child) for child in element}
        yield from (f"{place}.{name} is unknown" for name in seen - names.keys() - also)
        required = {shape.members[name].serialization.get("name", name): name for name in shape.required_members}
        yield from (f"{place}.{required[name]} is missing" for name in required.keys() - seen)
        for child in element:
            if _name(child) in names:
                yield from _xml(names[_name(child)], child, f"{place}.{_name(child)}", protocol)
    elif shape.type_name == "list":
        item = shape.member.serialization.get("name", "member")
        for child in element:
            if _name(child) != item:
                yield f"{place} has <{_name(child)}> and not <{item}>"
            yield from _xml(shape.member, child, f"{place}[]", protocol)
    elif shape.type_name == "map":
        for entry in element:
            if [_name(child) for child in entry] != ["key", "value"]:
                yield f"{place} has an entry that is no key and value"
    elif len(element):
        yield f"{place} holds elements and is {shape.type_name}"


def _name(element: ElementTree.Element) -> str:
    return element.tag.rsplit("}", 1)[-1]
