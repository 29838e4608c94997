"""Microsoft's own two T-SQL parsers, as judges of every statement that reaches an instance.

No SQL Server runs here, and our stand-in for sqlcmd understands what we believe to be T-SQL. These two were written by
the people who write SQL Server. venv.sh takes them out of a wheel of Microsoft's; .NET comes in another wheel.

They are of 2019 and each is right about something else (tried on good and broken statements, test_tsql.py):

- ScriptDom, grammar of SQL Server 2019, builds a syntax tree and is strict. It does not know `BACKUP … TO URL =` for a
  bucket nor the option BACKUP_OPTIONS of SQL Server 2022. It is shown a backup to DISK without that option.
- SqlParser, of Management Studio, knows URL, and takes any name for an option. It does not know UNLOCK, which Microsoft
  documents behind the password of ALTER LOGIN and ScriptDom knows; it is shown every other statement as it is.

A statement is right if neither complains.
"""

import os
import re
import sys
from pathlib import Path

import clr_loader
import dotnetcore2
import pythonnet

LIBRARIES = Path(sys.prefix) / "tsql-parsers"


def load() -> None:
    """Starts .NET in this process, without the ICU that it would look for, and loads both libraries."""
    os.environ["DOTNET_SYSTEM_GLOBALIZATION_INVARIANT"] = "1"
    os.environ["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1"
    settings = LIBRARIES / "runtimeconfig.json"
    settings.write_text('{"runtimeOptions": {"framework": {"name": "Microsoft.NETCore.App", "version": "3.1.0"}}}')
    runtime = Path(dotnetcore2.__file__).parent / "bin"
    pythonnet.set_runtime(clr_loader.get_coreclr(runtime_config=str(settings), dotnet_root=str(runtime)))
    import clr

    for name in ("Microsoft.SqlServer.TransactSql.ScriptDom", "Microsoft.SqlServer.SqlParser"):
        clr.AddReference(str(LIBRARIES / f"{name}.dll"))


load()

from Microsoft.SqlServer.Management.SqlParser.Parser import Parser  # noqa: E402
from Microsoft.SqlServer.TransactSql.ScriptDom import TSql150Parser  # noqa: E402
from System.IO import StringReader  # noqa: E402

# True: quoted identifiers are on, as in every session of sqlcmd and SqlClient that we open.
SCRIPT_DOM = TSql150Parser(True)

TO_A_BUCKET = re.compile(r"\A(BACKUP DATABASE \S+ TO) URL( = N's3://)")
OPTIONS_OF_2022 = re.compile(r", BACKUP_OPTIONS = N'(?:[^']|'')*'(?=;\Z)")


UNLOCK = re.compile(r"(\AALTER LOGIN \[(?:[^]]|]])+\] WITH PASSWORD = N'(?:[^']|'')*') UNLOCK;\Z")


def as_of_2019(text: str) -> str:
    """The statement as ScriptDom can know it. Only a backup to a bucket is changed, and only if it is spelt so."""
    to_disk, found = TO_A_BUCKET.subn(r"\1 DISK\2", text)
    return OPTIONS_OF_2022.sub("", to_disk) if found else text


def parsed(text: str):
    """ScriptDom's syntax tree and complaints."""
    tree, errors = SCRIPT_DOM.Parse(StringReader(as_of_2019(text)), None)
    return tree, [error.Message for error in errors]


def complaints(text: str) -> dict[str, list[str]]:
    """What each parser has against the text; empty where both take it for T-SQL."""
    said = {
        "ScriptDom": parsed(text)[1],
        "SqlParser": [error.Message for error in Parser.Parse(UNLOCK.sub(r"\1;", text)).Errors],
    }
    return {judge: messages for judge, messages in said.items() if messages}


def statements(text: str) -> list[list]:
    """The statements of each batch. A broken text has none."""
    tree, errors = parsed(text)
    if errors:
        raise ValueError(f"ScriptDom refuses {text!r}: {errors}")
    return [list(batch.Statements) for batch in tree.Batches]


def kind(statement) -> str:
    """ScriptDom's word for a statement, for example AlterCredentialStatement."""
    return statement.GetType().Name


def tokens(text: str) -> list[tuple[str, str]]:
    """ScriptDom's tokens but for white space and comments: kind and text."""
    stream = SCRIPT_DOM.GetTokenStream(StringReader(as_of_2019(text)), None)[0]
    blank = {"WhiteSpace", "SingleLineComment", "MultilineComment", "EndOfFile"}
    return [(str(token.TokenType), token.Text) for token in stream if str(token.TokenType) not in blank]
