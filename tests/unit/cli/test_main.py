"""The command as a whole: help, exit statuses, and errors that are one line."""

from __future__ import annotations

import json
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import peerwatch as package
from peerwatch import cli
from peerwatch.cli.main import FAILED, NOT_VERBS, SUMMARIES, fail
from tests.unit.cli.conftest import Command

VERBS = sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(cli.__path__) if m.name not in NOT_VERBS)
COMMAND = [sys.executable, "-m", "peerwatch"]


def run(*arguments: object, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]


def test_the_summaries_are_of_the_verbs_that_there_are(peerwatch: Command) -> None:
    """`--help` lists each module once, with a sentence, and no other."""
    assert sorted(SUMMARIES) == VERBS
    shown = peerwatch("--help").out
    for verb, summary in SUMMARIES.items():
        assert re.search(rf"^  {verb} +{re.escape(summary)}$", shown, re.MULTILINE)
        assert summary[0].isupper()
        assert summary.endswith(".")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(peerwatch: Command, verb: str) -> None:
    """Both forms of the option; the example begins with the very verb, and every option has a sentence."""
    result = peerwatch(verb, "--help")
    assert result.status == 0
    assert result.out == peerwatch(verb, "-h").out
    assert re.search(rf"Examples?:\s+peerwatch {verb}\b", result.out)
    options = result.out.split("Options:\n", 1)[1]
    for block in re.split(r"\n  (?=-)", options.split("\n\n")[0]):
        assert re.search(r"\s{2,}\S|\n\s+\S", block.strip()), block


@pytest.mark.parametrize("verb", ["demo", "doctor", "replay", "run", "simulate", "tracer", "watcher"])
def test_help_of_a_verb_needs_nothing_large(verb: str) -> None:
    """What a verb works with is imported when it works."""
    program = f"import sys, peerwatch.cli.{verb}; print({{'numpy', 'pyarrow', 'duckdb'}} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_help_is_fast() -> None:
    """Neither help nor version imports anything heavy: no arrays, no Arrow, no database."""
    code = "import sys; from peerwatch.cli.main import main\ntry: main()\nfinally: print(sorted(sys.modules), file=sys.stderr)"
    for option in ("--help", "--version"):
        done = subprocess.run([sys.executable, "-c", code, option], capture_output=True, text=True, check=True)
        loaded = {name.split(".")[0] for name in re.findall(r"'([^']+)'", done.stderr)}
        assert not loaded & {"numpy", "pyarrow", "duckdb", "scipy", "msgspec", "asyncio"}
    assert done.stdout == f"peerwatch, version {package.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["tables", "--nonsense"], "No such option"),
        (["sql"], "Missing argument 'QUERY'"),
        (["sql", "SELECT 1", "--format", "xml"], "is not one of"),
        (["sql", "SELECT 1", "--rows", "-1"], "not in the range"),
        (["replay", "x", "--speed", "0"], "neither a positive number nor max"),
        (["replay", "x", "--speed", "nan"], "neither a positive number nor max"),
        (["simulate", "quiet"], "say where to with --out FOLDER"),
        (["simulate", "quiet", "--out", "x", "--set", "peers"], "is not NAME=NUMBER"),
        (["simulate", "quiet", "--out", "x", "--set", "peers=inf"], "is not NAME=NUMBER"),
        (["simulate", "quiet", "--out", "x", "--hours", "0"], "not in the range"),
        (["demo", "--for", "1"], "not in the range"),
        (["run", "--for", "0"], "not in the range"),
        (["tracer"], "Missing option '--socket'"),
        (["watcher"], "Missing option '--socket'"),
        (["alerts", "--archive", __file__], "is a file"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_wrong_usage_is_status_two(peerwatch: Command, arguments: list[str], complaint: str) -> None:
    """What cannot be meant is said with the way to the help."""
    result = peerwatch(*arguments)
    assert result.status == 2
    assert complaint in result.err
    assert "Try 'peerwatch" in result.err


def bad_config(tmp_path: Path) -> Path:
    path = tmp_path / "bad.toml"
    path.write_text("nodes = 1")
    return path


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["sql", "SELECT 1", "--archive", "{tmp}"], "is not an archive (it has no archive.json)"),
        (["alerts", "--archive", "{tmp}/none"], "is not an archive"),
        (["replay", "{tmp}/none", "--archive", "{tmp}/a"], "there is no folder"),
        (["replay", "{tmp}", "--archive", "{tmp}/a"], "there is no capture in"),
        (["replay", "{tmp}", "--archive", "{tmp}/a", "--config", "{bad}"], "unknown key `nodes`; did you mean `node`?"),
        (["run", "--config", "{bad}"], "unknown key `nodes`; did you mean `node`?"),
        (["run", "--config", "{tmp}/none.toml"], "cannot read"),
        (["doctor", "--config", "{bad}"], "unknown key `nodes`"),
        (["tracer", "--socket", "{tmp}/s", "--config", "{bad}"], "unknown key `nodes`"),
        (["watcher", "--socket", "{tmp}/s", "--config", "{bad}"], "unknown key `nodes`"),
        (["simulate", "qiet", "--out", "{tmp}/a"], "there is no scenario 'qiet'; did you mean quiet?"),
        (["simulate", "addr-flood-2021", "--out", "{tmp}/a", "--set", "pears=3"], "has no option pears; it has start_s"),
        (["demo", "--scenario", "zzz", "--archive", "{tmp}/a"], "there is no scenario 'zzz'; there are"),
        (["tables", "mesage"], "there is no table mesage; there are address"),
        (["detectors", "nonsense"], "there is no detector nonsense; there are addr_flood"),
    ],
    ids=lambda v: " ".join(v[:2]) if isinstance(v, list) else "",
)
def test_what_fails_is_status_one_and_one_line(peerwatch: Command, tmp_path: Path, arguments: list[str], complaint: str) -> None:
    """On standard error, without a traceback, and nothing on standard output."""
    names = {"tmp": tmp_path, "bad": bad_config(tmp_path)}
    result = peerwatch(*(a.format(**names) for a in arguments))
    assert (result.status, result.out) == (FAILED, "")
    assert re.fullmatch(rf"Error: .*{re.escape(complaint)}.*\n", result.err)


def test_statuses_of_the_real_command(attacked: Path, tmp_path: Path) -> None:
    """The same through the process: 0, 1 and 2."""
    good, failed, wrong = run("tables", "ping"), run("alerts", "--archive", tmp_path), run("alerts", "--arcive", attacked)
    assert (good.returncode, failed.returncode, wrong.returncode) == (0, 1, 2)
    assert (good.stderr, failed.stdout, wrong.stdout) == ("", "", "")
    assert failed.stderr == f"Error: {tmp_path} is not an archive (it has no archive.json)\n"


@pytest.mark.parametrize("form", ["table", "json", "csv", "parquet"])
def test_nobody_reads_the_output(attacked: Path, form: str) -> None:
    """A closed pipe ends the command quietly, with status 1."""
    query = "SELECT * FROM message, range(20)"
    command = [*COMMAND, "sql", query, "--archive", str(attacked), "--format", form, "--rows", "100000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=False) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "arguments", [["tables"], ["sql", "FROM message", "--format", "csv", "--archive", "{}"], ["alerts", "--archive", "{}"]]
)
def test_no_room_for_the_output(attacked: Path, arguments: list[str]) -> None:
    """One line, status 1, and no second try at exit."""
    with Path("/dev/full").open("w") as full:
        filled = [a.format(attacked) for a in arguments]
        done = subprocess.run([*COMMAND, *filled], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "Error: [Errno 28] No space left on device\n")


def test_an_error_to_raise() -> None:
    """It has the message and the status of failure."""
    error = fail("why")
    assert (error.message, error.exit_code) == ("why", FAILED)


def test_output_is_for_programs_too(attacked: Path) -> None:
    """`--json` prints one JSON object a line and nothing else, whatever the terminal."""
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "40", "FORCE_COLOR": "1"}
    for arguments in (
        ["alerts", "--archive", attacked, "--json"],
        ["tables", "--json"],
        ["detectors", "--json"],
        ["simulate", "--json"],
    ):
        done = run(*arguments, env=environment)
        assert done.returncode == 0
        assert all(isinstance(json.loads(line), dict) for line in done.stdout.splitlines())
        assert done.stdout.count("\n") > 0
