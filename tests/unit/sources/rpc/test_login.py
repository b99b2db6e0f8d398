"""Logins at a node's RPC server."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from peerwatch.sources.rpc.login import MOST_BYTES, Credentials, Kind, Login, login_of


def shown(credentials: Credentials) -> str | None:
    """The login that is sent, as text."""
    header = credentials.header()
    return None if header is None else base64.b64decode(header.removeprefix("Basic ")).decode()


def replace(path: Path, text: str) -> None:
    """Write a new file of that name, as Core does."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


def test_a_named_user_comes_before_the_cookie_and_that_before_the_configuration() -> None:
    """The most special login that is given is taken."""
    cookie, conf = Path("/n/.cookie"), Path("/n/bitcoin.conf")
    assert login_of(cookie, "u", "/p", conf) == Login(Kind.PASSWORD, Path("/p"), "u")
    assert login_of(cookie, None, None, conf) == Login(Kind.COOKIE, cookie)
    assert login_of(None, None, None, conf) == Login(Kind.CONF, conf)
    assert Credentials(login_of(None, None, None, None)).header() is None


def test_a_cookie_is_read_again_when_it_is_another_one(tmp_path: Path) -> None:
    """A node that was started again has a new one; while it is away there is none."""
    path = tmp_path / ".cookie"
    credentials = Credentials(Login(Kind.COOKIE, path))
    assert shown(credentials) is None
    assert "There is no cookie" in credentials.why
    path.write_text("__cookie__:one")
    assert credentials.is_another()
    assert shown(credentials) == "__cookie__:one"
    assert not credentials.is_another()
    assert not credentials.renew()
    replace(path, "__cookie__:two")
    assert credentials.is_another()
    assert credentials.renew()
    assert shown(credentials) == "__cookie__:two"
    path.unlink()
    assert shown(credentials) is None


def test_a_password_has_its_user_and_no_line_end(tmp_path: Path) -> None:
    """What stands in the file is the password alone."""
    path = tmp_path / "password"
    path.write_text("pass word:x\n")
    assert shown(Credentials(Login(Kind.PASSWORD, path, "watch"))) == "watch:pass word:x"


def test_a_password_that_others_can_read_is_exposed(tmp_path: Path) -> None:
    """So is no password of mode 0600, no file that is missing, and no cookie, which is the node's affair."""
    path = tmp_path / "password"
    assert not Login(Kind.PASSWORD, path, "watch").is_exposed()
    path.write_text("x")
    path.chmod(0o644)
    assert Login(Kind.PASSWORD, path, "watch").is_exposed()
    assert not Login(Kind.COOKIE, path).is_exposed()
    path.chmod(0o600)
    assert not Login(Kind.PASSWORD, path, "watch").is_exposed()


@pytest.mark.parametrize(
    ("text", "login"),
    [
        ("rpcuser=a\nrpcpassword=b\n", "a:b"),
        ("[regtest]\nrpcuser=a\nrpcpassword=b\n", "a:b"),
        ("rpcpassword=b\n", ":b"),
        ("rpcuser=a\n", None),
        ("", None),
    ],
)
def test_the_password_of_a_configuration(tmp_path: Path, text: str, login: str | None) -> None:
    """It is taken wherever it stands; without one, an own user is recommended."""
    path = tmp_path / "bitcoin.conf"
    path.write_text(text)
    credentials = Credentials(Login(Kind.CONF, path))
    assert shown(credentials) == login
    assert "rpcauth=" in credentials.why


@pytest.mark.parametrize(
    ("kind", "text"), [(k, t) for k in Kind for t in ("", "\n", "x" * (MOST_BYTES + 1))] + [(Kind.COOKIE, "x")]
)
def test_files_of_no_use(tmp_path: Path, kind: Kind, text: str) -> None:
    """They log nobody in, and it is said which file it is."""
    path = tmp_path / "file"
    path.write_text(text)
    credentials = Credentials(Login(kind, path, "u" if kind is Kind.PASSWORD else None))
    assert credentials.header() is None
    assert {Kind.COOKIE: "cookie", Kind.PASSWORD: "password", Kind.CONF: "configuration"}[kind] in credentials.why


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """What is no file is closed to us, and what to do is said."""
    os.mkfifo(tmp_path / ".cookie")
    credentials = Credentials(Login(Kind.COOKIE, tmp_path / ".cookie"))
    assert credentials.header() is None
    assert "-rpccookieperms=group" in credentials.why
    assert "rpcwhitelist=" in credentials.why


def test_nothing_shows_the_login(tmp_path: Path) -> None:
    """Neither `repr` nor what is said of a login that is wrong has it, nor where it stands."""
    path = tmp_path / "hidden"
    path.write_text("__cookie__:secret")
    for login in (Login(Kind.COOKIE, path), Login(Kind.PASSWORD, path, "u")):
        credentials = Credentials(login)
        credentials.header()
        for text in (repr(credentials), str(credentials), credentials.why):
            assert "secret" not in text
            assert str(tmp_path) not in text
