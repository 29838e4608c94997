"""The scripts for Windows write the statements that those for Linux send, and no other; so what Microsoft's parsers said
of those (test_tsql.py) holds for them where no PowerShell runs them.

The scripts are read as one, with tree-sitter's grammar of PowerShell: every string, or sum of strings, that begins like
T-SQL is a template. Where a template names a variable, a sent statement may have anything that cannot end a name or a
literal.
"""

import re
from collections.abc import Iterator

import pytest
import tree_sitter_powershell
from test_tsql import DOCUMENTS, sent
from tree_sitter import Language, Node, Parser

GRAMMAR = Parser(Language(tree_sitter_powershell.language()))
# What the documents for S3 credentials share, and each one's own. Those for logins are not compared here: their
# statements are the same text in both scripts, and the table of situations plays each on both.
PARTS = (
    "host/windows.ps1",
    "host/credentials.ps1",
    "apply-s3-credential/apply.ps1",
    "inspect-s3-credential/inspect.ps1",
)
OF_S3_CREDENTIALS = re.compile(
    r"SELECT N'~(instance|credential|backup)~|(CREATE|ALTER|DROP) CREDENTIAL |BACKUP DATABASE "
)
SCRIPT = b"\n".join((DOCUMENTS / part).read_bytes() for part in PARTS)

BEGINNING = re.compile(r"(SELECT N'|DROP CREDENTIAL |BACKUP DATABASE |\$verb CREDENTIAL )")
# A sub-expression, a variable, and any other operand of a sum.
HOLE = re.compile(r"\$\((?:[^()]|\([^()]*\))*\)|\$\{\w+\}|\$\w+(?:\.\w+)*")
VARIABLE_IN_BRACKETS = re.compile(r"\[[^\[\]]*\$")
NAME_IN_BRACKETS = r"\[(?:[^\]]|\]\])+\]"
PART_OF_A_LITERAL = r"(?:[^'\]]|'')*"


def below(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from below(child)


def text(node: Node) -> str:
    return node.text.decode()


def holds_only(node: Node, kind: str) -> Node | None:
    """The node of this kind that a chain of only children leads to, as the grammar wraps every operand."""
    while node.type != kind and node.named_child_count == 1:
        node = node.named_children[0]
    return node if node.type == kind else None


def template(node: Node) -> str:
    """A string or a sum of strings, as it is written; other operands become holes."""
    if node.type == "additive_expression":
        return "".join(template(operand) for operand in node.named_children)
    literal = holds_only(node, "string_literal")
    inner = holds_only(node, "additive_expression")
    if literal is None:
        return template(inner) if inner else "$hole"
    quote, inside = text(literal)[0], text(literal)[1:-1]
    return inside.replace('""', '"') if quote == '"' else inside.replace("''", "'").replace("$", "$hole")


def templates(script: bytes) -> list[str]:
    """Every string that begins like T-SQL, outermost sums first; a sum's parts are no templates of their own."""
    found: dict[tuple[int, int], str] = {}
    for node in below(GRAMMAR.parse(script).root_node):
        is_part = any(start <= node.start_byte < end for start, end in found)
        if node.type in ("additive_expression", "string_literal") and not is_part:
            whole = template(node)
            if BEGINNING.match(whole):
                found[node.start_byte, node.end_byte] = " ".join(whole.split())
    return list(found.values())


def options(script: bytes) -> list[str]:
    """What the variable $options is set to and what is appended to it, in this order."""
    assignments = [node for node in below(GRAMMAR.parse(script).root_node) if node.type == "assignment_expression"]
    values = [template(node.named_children[-1]) for node in assignments if text(node).startswith("$options ")]
    return [value for value in values if value != "$hole"]


def patterns(script: bytes) -> dict[str, re.Pattern]:
    """The statements that each template can become."""
    always, for_a_region = (escaped(part) for part in options(script))
    filled = f"{always}(?:{for_a_region})?"
    return {of: re.compile(escaped(of).replace(re.escape("$options"), filled)) for of in templates(script)}


def escaped(of: str) -> str:
    parts, end = [], 0
    for hole in HOLE.finditer(of):
        parts.append(re.escape(of[end : hole.start()]))
        parts.append(filling(hole.group()))
        end = hole.end()
    return "".join([*parts, re.escape(of[end:])])


def filling(hole: str) -> str:
    if hole.startswith("$(Get-QuotedName"):
        return NAME_IN_BRACKETS
    return re.escape(hole) if hole == "$options" else PART_OF_A_LITERAL


def unmatched(script: bytes) -> tuple[list[str], list[str]]:
    """What was sent and no template can become; and templates that nothing that was sent came from."""
    shapes = patterns(script)
    every = (" ".join(statement.split()) for statement in sent())
    statements = [statement for statement in every if OF_S3_CREDENTIALS.match(statement)]
    strange = [one for one in statements if not any(shape.fullmatch(one) for shape in shapes.values())]
    unsent = [of for of, shape in shapes.items() if not any(shape.fullmatch(one) for one in statements)]
    return strange, unsent


def test_the_script_is_powershell_by_a_grammar_that_is_not_ours():
    assert not GRAMMAR.parse(SCRIPT).root_node.has_error
    assert GRAMMAR.parse(SCRIPT.replace(b"function ", b"function (", 1)).root_node.has_error


def test_the_script_s_statements_are_found():
    kinds = {BEGINNING.match(one).group() for one in templates(SCRIPT)}
    assert kinds == {"SELECT N'", "DROP CREDENTIAL ", "BACKUP DATABASE ", "$verb CREDENTIAL "}


def bare(script: bytes) -> list[str]:
    """Templates that put a variable between brackets themselves, so that a bracket in it would end the name."""
    return [of for of in templates(script) if VARIABLE_IN_BRACKETS.search(of)]


def test_no_name_stands_in_brackets_that_get_quotedname_did_not_write():
    assert bare(SCRIPT) == []


QUOTED_NAMES = list(re.finditer(rb"\$\(Get-QuotedName (?:\$\w+|\([^()]*\))\)", SCRIPT))


@pytest.mark.parametrize("name", [b"[$url]", b"[$($x)]", b"$url"], ids=["brackets", "an expression", "none"])
@pytest.mark.parametrize("place", range(len(QUOTED_NAMES)))
def test_a_name_that_is_quoted_otherwise_is_found_in_each_place_alone(place, name):
    start, end = QUOTED_NAMES[place].span()
    script = SCRIPT[:start] + name + SCRIPT[end:]
    assert bare(script) or unmatched(script) != ([], [])


def test_every_place_of_a_quoted_name_is_known():
    assert len(QUOTED_NAMES) == SCRIPT.count(b"Get-QuotedName") - 1, "all but the function itself"


def test_every_statement_that_was_sent_is_one_that_windows_writes():
    assert unmatched(SCRIPT)[0] == []


def test_every_statement_that_windows_writes_was_sent():
    assert unmatched(SCRIPT)[1] == []


DIFFERENCES = {
    "a word": (b"DROP CREDENTIAL ", b"DROP CREDENTIAL IF EXISTS "),
    "an option": (b"COPY_ONLY, FORMAT", b"COPY_ONLY, INIT"),
    "an option of 2022": (b"BACKUP_OPTIONS", b"BACKUP_OPTION"),
    "a column": (b"HAS_PERMS_BY_NAME(NULL, NULL,", b"HAS_PERMS_BY_NAME(NULL, N'SERVER',"),
    "an identity": (b"'S3 Access Key'", b"'S3 Access Keys'"),
    "another database": (b"[model]", b"[master]"),
}


@pytest.mark.parametrize("what", DIFFERENCES)
def test_a_difference_between_the_two_scripts_is_found(what):
    before, after = DIFFERENCES[what]
    places = [found.start() for found in re.finditer(re.escape(before), SCRIPT)]
    assert places
    for start in places:
        script = SCRIPT[:start] + after + SCRIPT[start + len(before) :]
        assert unmatched(script) != ([], []), f"at byte {start}"
