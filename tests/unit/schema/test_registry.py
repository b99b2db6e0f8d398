"""Finding tables by walking their package."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from peerwatch.schema import tables
from peerwatch.schema.registry import all_tables

ROW = "from typing import Annotated\nfrom peerwatch.schema import columns as c\nfrom peerwatch.schema.table import Table\n"


def test_every_module_is_a_table() -> None:
    """What lies in the folder is what is found, in alphabetical order, by the name of its module."""
    folder = Path(tables.__path__[0])
    assert list(all_tables()) == sorted(p.stem for p in folder.glob("*.py") if p.stem != "__init__")
    for name, table in all_tables().items():
        assert (table.name, table.__module__) == (name, f"{tables.__name__}.{name}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A further folder of tables."""
    monkeypatch.setattr(tables, "__path__", [*tables.__path__, str(tmp_path)])
    yield tmp_path
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(f"{tables.__name__}.{path.stem}", None)


def test_a_new_module_is_found(folder: Path) -> None:
    """Adding a table edits no other file."""
    (folder / "brand_new.py").write_text(f"{ROW}class BrandNew(Table):\n    '''New.'''\n    peer: Annotated[int, c.PEER]\n")
    found = all_tables.__wrapped__()
    assert found["brand_new"].doc == "New."
    assert found.keys() - {"brand_new"} == all_tables().keys()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "class Another(Table):\n    '''Named unlike its module.'''\n",
        "class Odd(Table):\n    '''One.'''\nclass Two(Table):\n    '''Too many.'''\n",
    ],
    ids=["none", "another name", "two"],
)
def test_a_module_declares_one_table_of_its_name(folder: Path, text: str) -> None:
    """Anything else is an error that names the file."""
    (folder / "odd.py").write_text(ROW + text)
    with pytest.raises(TypeError, match=r"schema/tables/odd\.py must declare one table of that name"):
        all_tables.__wrapped__()
