"""Text made safe to show: no control bytes, no terminal sequences, no marks that reverse or hide what follows."""

from __future__ import annotations


def visible(text: str, longest: int | None = None) -> str:
    r"""`text` with every character that does not print written as its escape, cut to `longest` characters. Idempotent.

    >>> visible("a\x1b[31m\u202eb")
    'a\\x1b[31m\\u202eb'
    """
    cut = text if longest is None or len(text) <= longest else text[: longest - 3] + "..."
    if cut.isprintable():
        return cut
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
