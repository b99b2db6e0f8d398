"""What can go wrong with an archive, each in one line that says what to do."""

from __future__ import annotations


class ArchiveError(Exception):
    """The archive cannot be used: it is none, is of a newer format, is in use, or cannot be read or written."""


class NotRecordingError(ArchiveError):
    """Rows could not be written, as on a full disk.

    Nothing of them is in the archive, everything recorded before is, and the next append tries again.
    """


class QueryError(Exception):
    """A query that is refused, is wrong, or took too much time or memory."""
