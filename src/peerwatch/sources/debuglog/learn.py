"""Templates learned from lines that none is declared for, so that these can be counted, after Drain (He et al., ICWS 2017).

Lines of as many words and the same first one are of one template if most of their words agree; where they do not, there is a
`<*>`. A word with a digit, or with a mark inside that addresses, paths and names have, is never kept: own addresses may occur in
any line.
"""

from __future__ import annotations

import re

from peerwatch.wire.raw import printable

ANY = b"<*>"
MOST_TEMPLATES = 500
MOST_WORDS = 24
ALIKE = 0.6
"""Share of words that must agree."""
LONGEST = 160
OTHER = "other"
"""What is counted when there are too many templates."""

_KEPT = re.compile(rb"[A-Za-z][A-Za-z_-]{0,23}[,.:;!?)]?|\(?[A-Za-z]{1,24}\)?|-|&")


class Learner:
    """Learned templates."""

    def __init__(self) -> None:
        """Nothing is learned yet."""
        self._templates: dict[tuple[int, bytes], list[list[bytes]]] = {}
        self._count = 0

    def template_of(self, message: bytes) -> str:
        """The template of a message; it may have become more general with it. Printable, at most LONGEST long."""
        words = [word if _KEPT.fullmatch(word) else ANY for word in message.split(maxsplit=MOST_WORDS)[:MOST_WORDS]]
        if not words:
            return OTHER
        known = self._templates.setdefault((len(words), words[0]), [])
        for template in known:
            same = sum(a == b for a, b in zip(template, words, strict=True))
            if same >= ALIKE * len(words):
                template[:] = [a if a == b else ANY for a, b in zip(template, words, strict=True)]
                return _shown(template)
        if self._count >= MOST_TEMPLATES:
            return OTHER
        self._count += 1
        known.append(words)
        return _shown(words)


def _shown(words: list[bytes]) -> str:
    return printable(b" ".join(words)[:LONGEST])[:LONGEST]
