"""`peerwatch rpc-user`."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from peerwatch.cli.rpc_user import command


def test_it_prints_lines_and_keeps_the_password_to_itself(tmp_path: Path) -> None:
    """Lines for bitcoin.conf are printed, those for peerwatch are said, and the password is nowhere but in its file."""
    out = tmp_path / "password"
    ran = CliRunner().invoke(command, ["--out", str(out)])
    assert ran.exit_code == 0
    assert [line.partition("=")[0] for line in ran.stdout.splitlines()] == ["rpcauth", "rpcwhitelist", "rpcwhitelistdefault"]
    assert f'rpc_password_file = "{out}"' in ran.stderr
    assert out.read_text().strip() not in ran.output


def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    """A file that is there, and a name that is none."""
    (tmp_path / "password").write_text("mine")
    ran = CliRunner().invoke(command, ["--out", str(tmp_path / "password")])
    assert (ran.exit_code, ran.stderr) == (1, f"Error: cannot write {tmp_path / 'password'}: file exists\n")
    named = CliRunner().invoke(command, ["--out", str(tmp_path / "new"), "--name", "a:b"])
    assert named.exit_code == 1
    assert "is none" in named.stderr
    assert not (tmp_path / "new").exists()
