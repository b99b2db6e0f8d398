"""Tests of the store's errors."""

from __future__ import annotations

from peerwatch.store.errors import ArchiveError, NotRecordingError, QueryError


def test_who_handles_an_unusable_archive_handles_one_that_cannot_be_written() -> None:
    """A full disk is an error of the archive; a refused query is not."""
    assert issubclass(NotRecordingError, ArchiveError)
    assert not issubclass(QueryError, ArchiveError)
