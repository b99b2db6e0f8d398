"""Text that is safe to show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.detect.visible import visible


@given(st.text())
def test_always_printable_and_idempotent(text):
    """Whatever comes in, what goes out can be shown, and is not escaped twice."""
    shown = visible(text)
    assert shown.isprintable()
    assert visible(shown) == shown


@pytest.mark.parametrize("bad", ["\x1b", "\x00", "\x7f", "\n", "\u202e", "\u2066", "\u200b", "\ud800"])
def test_control_characters_are_escaped(bad):
    """Control bytes, reversing and invisible marks, and halves of characters are written as escapes."""
    assert bad not in visible(f"a{bad}b")


def test_cut():
    """Long text is cut, and says so."""
    assert visible("a" * 20, 10) == "a" * 7 + "..."
    assert visible("a" * 10, 10) == "a" * 10
