"""A user that may only look."""

from __future__ import annotations

import hashlib
import hmac
import re
import stat
from pathlib import Path

import pytest

from peerwatch.sources.rpc.registry import methods
from peerwatch.sources.rpc.user import conf_lines, new_password, write_password


def test_lines_for_the_configuration() -> None:
    """Salt and code are such as Core checks, every method that is called is allowed, and the password is in none of them."""
    password = new_password()
    auth, allowed, default = conf_lines("watch", password)
    found = re.fullmatch(r"rpcauth=watch:([0-9a-f]{32})\$([0-9a-f]{64})", auth)
    assert found
    assert found[2] == hmac.new(found[1].encode(), password.encode(), hashlib.sha256).hexdigest()
    name, _, called = allowed.removeprefix("rpcwhitelist=").partition(":")
    assert name == "watch"
    assert set(called.split(",")) == {request.method for request in methods()}
    assert default == "rpcwhitelistdefault=0"
    assert password not in auth + allowed


def test_only_looking_is_allowed() -> None:
    """No call changes anything, stops the node or looks into a wallet."""
    assert all(re.match(r"(get|list|uptime)", request.method) for request in methods())


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\nb", "x" * 33])
def test_names_that_would_not_stay_whole(name: str) -> None:
    """They are refused, with what a name may be."""
    with pytest.raises(ValueError, match="letters, digits"):
        conf_lines(name, "x")


def test_passwords_differ_and_lie_in_files_of_their_own(tmp_path: Path) -> None:
    """Only the owner can read one, and a file that is there already is not overwritten."""
    path = tmp_path / "password"
    write_password(path, password := new_password())
    assert path.read_text() == password + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert password != new_password()
    with pytest.raises(FileExistsError):
        write_password(path, "other")
