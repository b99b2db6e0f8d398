"""The repository keeps its shape: tests mirror the source, files stay small, nothing names what it must not."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src/peerwatch"
MODULE_LINES = 400
FUNCTION_LINES = 70

MODULES = sorted(p.relative_to(SOURCE) for p in SOURCE.rglob("*.py") if p.name != "__init__.py")

COVERED_ELSEWHERE = {
    "__main__.py": "three lines; tests/unit/cli/test_main.py runs it",
    "schema/tables": "declarations; tests/contract/test_tables.py runs over every one",
    "sources/_api.py": "a protocol; its implementations are tested",
    "sources/rpc/_api.py": "interfaces; tests/contract/test_rpc.py runs over every reader",
    "sources/rpc/readers": "each is tried in tests/contract/test_rpc.py with answers of every version",
    "sources/debuglog/templates": "declarations; tests/contract/test_log.py runs over every one",
    "sinks/_api.py": "a protocol; its implementations are tested",
    "wire/dissector.py": "an interface; tests/contract/test_messages.py runs over every implementation",
    "detect/_api.py": "an interface; tests/contract/test_detectors.py runs over every implementation",
}
"""Modules without a test of the same path, and why."""


def tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / n for n in names.split("\0") if n and (ROOT / n).is_file()]


def excused(module: Path) -> bool:
    return str(module) in COVERED_ELSEWHERE or str(module.parent) in COVERED_ELSEWHERE


@pytest.mark.parametrize("module", [m for m in MODULES if not excused(m)], ids=str)
def test_every_module_has_a_test_of_the_same_path(module: Path) -> None:
    """`src/peerwatch/a/b.py` is tested by `tests/unit/a/test_b.py`, or by one in tests/kernel when it needs the kernel."""
    name = f"test_{module.stem.lstrip('_')}.py"
    places = [ROOT / "tests/unit" / module.parent / name, ROOT / "tests/kernel" / name]
    assert any(p.exists() for p in places), f"write one of {[str(p.relative_to(ROOT)) for p in places]}"


def test_excuses_are_still_needed() -> None:
    """An exception whose module is gone is removed."""
    assert [e for e in COVERED_ELSEWHERE if not (SOURCE / e).exists()] == []


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_modules_and_functions_stay_small(module: Path) -> None:
    """A module has under 400 lines and a function under 70."""
    text = (SOURCE / module).read_text()
    assert text.count("\n") < MODULE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < FUNCTION_LINES, node.name


def test_no_module_is_a_drawer() -> None:
    """A module is named for what is in it."""
    assert [m for m in MODULES if m.stem in {"utils", "util", "helpers", "common", "misc"}] == []


SET_UP = ("pyproject.toml", "requirements.lock", "Makefile", ".ci/run", "tools/setup.sh", "tools/build_bpf.py", "player/Makefile")
"""Files that decide where things come from."""


def test_set_up_names_no_host() -> None:
    """Packages come by name from wherever the machine is set up to get them: no address of a registry is fixed."""
    named = {name: re.findall(r"\b\w+://\S+|--(?:extra-)?index-url|--registry", (ROOT / name).read_text()) for name in SET_UP}
    assert not any(named.values()), named


def test_nothing_names_a_path_of_one_machine() -> None:
    """No file holds the path of this checkout or of somebody's home, and nothing is left to do."""
    forbidden = [
        re.escape(f"{ROOT}/src").encode(),
        re.escape(f"{Path.home()}/").encode(),
        rb"\bTO" + rb"DO\b",
        rb"\bFIX" + rb"ME\b",
    ]
    pattern = re.compile(b"|".join(forbidden))
    found = [(str(p.relative_to(ROOT)), m[0]) for p in tracked() for m in [pattern.search(p.read_bytes())] if m]
    assert found == []
