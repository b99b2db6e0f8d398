"""`peerwatch sql`."""

from __future__ import annotations

import csv
import io
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.cli.conftest import Command

PEERWATCH = Path(sys.executable).with_name("peerwatch")

KINDS = """
SELECT 1 AS whole, 1.5 AS part, sum(x) AS total, 'te"xt' AS text, '\\x01'::BLOB AS bytes, [1, 2] AS list, {'a': 1.5} AS struct,
       true AS yes, NULL AS nothing, 'nan'::DOUBLE AS nan, 1 / 0.0 AS infinite, DATE '2026-01-02' AS day
FROM (VALUES (9223372036854775807), (9223372036854775807)) AS t(x)
"""


def test_json(peerwatch: Command, empty: Path) -> None:
    """One object a line, valid JSON: numbers stay numbers however large, bytes are hexadecimal, what JSON cannot say is null."""
    output = peerwatch("sql", KINDS, "--archive", empty, "--format", "json").out

    def refuse(text: str) -> None:
        raise AssertionError(text)

    (row,) = [json.loads(line, parse_constant=refuse) for line in output.splitlines()]
    assert row == {
        "whole": 1, "part": 1.5, "total": 2 * 9223372036854775807, "text": 'te"xt', "bytes": "01", "list": [1, 2],
        "struct": {"a": 1.5}, "yes": True, "nothing": None, "nan": None, "infinite": None, "day": "2026-01-02",
    }  # fmt: skip


def test_csv(peerwatch: Command, empty: Path) -> None:
    """A header and rows; bytes as hexadecimal, lists and structures as JSON."""
    output = peerwatch("sql", KINDS, "--archive", empty, "--format", "csv").out
    (row,) = csv.DictReader(io.StringIO(output))
    assert row == {
        "whole": "1", "part": "1.5", "total": str(2 * 9223372036854775807), "text": 'te"xt', "bytes": "01", "list": "[1, 2]",
        "struct": '{"a": 1.5}', "yes": "true", "nothing": "", "nan": "nan", "infinite": "inf", "day": "2026-01-02",
    }  # fmt: skip


def test_csv_on_a_terminal_is_escaped(tmp_path: Path, empty: Path) -> None:
    """A file gets what the query gives; a terminal no control byte that a query made of what peers sent."""
    script = [PEERWATCH, "sql", "SELECT chr(27) || 'x' AS a", "--archive", empty, "--format", "csv"]
    plain = subprocess.run(script, capture_output=True, check=True).stdout
    terminal = subprocess.run(["script", "-qec", shlex.join(map(str, script)), tmp_path / "log"], capture_output=True, check=True)
    assert b"\x1bx" in plain
    assert b"\x1b" not in terminal.stdout
    assert b"\\x1bx" in terminal.stdout


def test_parquet(peerwatch: Command, attacked: Path) -> None:
    """A file that any Parquet reader takes, with the types of the archive."""
    result = peerwatch("sql", "SELECT ts, peer, type FROM message ORDER BY ts", "--archive", attacked, "--format", "parquet")
    table = pq.read_table(io.BytesIO(result.raw))
    assert table.schema.types == [pa.int64(), pa.int64(), pa.string()]
    assert table.num_rows > 1000
    assert table["ts"].to_pylist() == sorted(table["ts"].to_pylist())


def test_the_table_is_for_looking(peerwatch: Command, attacked: Path) -> None:
    """Numbers to the right, at most so many rows, and how many more there are."""
    query = "SELECT type, count(*) AS n FROM message GROUP BY type ORDER BY n DESC, type"
    whole = peerwatch("sql", query, "--archive", attacked, "--format", "json").out.splitlines()
    shown = peerwatch("sql", query, "--archive", attacked, "--rows", 2).out.splitlines()
    assert shown[0].split() == ["type", "n"]
    assert len({len(line) for line in shown[:4]}) == 1
    assert [tuple(line.split()) for line in shown[2:4]] == [(json.loads(w)["type"], str(json.loads(w)["n"])) for w in whole[:2]]
    assert shown[4] == f"… and {len(whole) - 2} more rows (--rows)"
    assert len(peerwatch("sql", query, "--archive", attacked).out.splitlines()) == len(whole) + 2


def test_columns_of_one_name_are_all_shown(peerwatch: Command, empty: Path) -> None:
    """As in a join of a table with itself."""
    assert peerwatch("sql", "SELECT 1 AS a, 2 AS a", "--archive", empty).out.splitlines()[2].split() == ["1", "2"]


def test_nothing_is_a_table_too(peerwatch: Command, attacked: Path) -> None:
    """No rows: the header alone, an empty file of each other format."""
    query = "SELECT ts, type FROM message WHERE false"
    assert peerwatch("sql", query, "--archive", attacked).out.splitlines()[0].split() == ["ts", "type"]
    assert peerwatch("sql", query, "--archive", attacked, "--format", "json").out == ""
    assert peerwatch("sql", query, "--archive", attacked, "--format", "csv").out == '"ts","type"\n'
    raw = peerwatch("sql", query, "--archive", attacked, "--format", "parquet").raw
    assert pq.read_table(io.BytesIO(raw)).num_rows == 0


def test_nothing_reaches_the_terminal_unescaped(peerwatch: Command, empty: Path) -> None:
    """Neither in a value nor in the name of a column, which may be made of values."""
    query = "SELECT chr(27) || '[31m' AS \"a\x1b[2Jb\", chr(8238) AS c"
    shown = peerwatch("sql", query, "--archive", empty).out
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "a\\x1b[2Jb" in shown
    assert "\\x1b[31m" in shown


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("DROP TABLE message", "only a single SELECT can be run here, not DROP"),
        ("SELECT 1; SELECT 2", "only a single SELECT"),
        ("SELEC 1", "syntax error"),
        ("SELECT * FROM nonsense", "nonsense"),
        ("SELECT nonsense FROM message", "nonsense"),
        ("SELECT * FROM read_csv('/etc/passwd')", "cannot be used here"),
        ("COPY message TO '/tmp/x'", "only a single SELECT"),
        ("SELECT error('no ' || 1)", "no 1"),
    ],
)
def test_what_is_refused_or_wrong(peerwatch: Command, empty: Path, query: str, complaint: str) -> None:
    """One line, status 1."""
    result = peerwatch("sql", query, "--archive", empty)
    assert result.status == 1
    assert result.err.count("\n") == 1
    assert complaint in result.err


def test_bounds(peerwatch: Command, empty: Path) -> None:
    """A query that takes too long or too much is ended with a hint."""
    slow = "SELECT count(*) FROM range(100000000000) AS a(x) WHERE x % 7 = 3 AND sqrt(x) > 3"
    result = peerwatch("sql", slow, "--archive", empty, "--timeout", 0.2)
    assert result.status == 1
    assert "took more than 0.2 s" in result.err
    big = "SELECT list(x) FROM range(100000000) AS a(x)"
    result = peerwatch("sql", big, "--archive", empty, "--memory", 16)
    assert result.status == 1
    assert "needs more than 16 MB" in result.err


def test_help_names_the_functions(peerwatch: Command) -> None:
    """Those that DuckDB does not have."""
    assert "ip_text" in peerwatch("sql", "--help").out
