"""Write the reference pages that derive from the code; a test compares them with a fresh generation."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click
from click.testing import CliRunner

from peerwatch.cli.detectors import facts
from peerwatch.cli.main import SUMMARIES, root
from peerwatch.detect.registry import all_detectors
from peerwatch.peers.weirds import all_kinds
from peerwatch.schema.docs import markdown
from peerwatch.schema.registry import all_tables
from peerwatch.sources.debuglog.registry import all_templates
from peerwatch.sources.usdt.probes import PROBES
from peerwatch.store.macros import MACROS

REFERENCE = Path(__file__).parents[1] / "docs/reference"
NOTE = "<!-- Written by `make docs`; change the code instead. -->\n\n"


def tables() -> str:
    """The page of all tables, probes and SQL functions."""
    text = NOTE + "# Tables\n\nEvery table begins with the row identity (`node, session, source, seq`) and the time `ts`.\n"
    text += "What is marked *untrusted* was chosen by a peer.\n\n"
    text += "\n".join(markdown(table) for table in all_tables().values())
    text += "\n## SQL functions\n\n" + "".join(f"- `{m.call}`: {m.doc}\n" for m in MACROS)
    text += "\n## Probes\n\n" + "".join(f"- `{p.full_name}` ({', '.join(a.name for a in p.args)})\n" for p in PROBES)
    return text


def weirds() -> str:
    """The page of the closed set of what can be wrong or strange."""
    text = NOTE + "# What is wrong or strange\n\nKinds of the table `weird`. Those that are errors of a payload also stand in"
    text += " `message.error`.\n\n| kind | meaning | source |\n|---|---|---|\n"
    return text + "".join(f"| {kind.name} | {kind.meaning} | {kind.source} |\n" for kind in all_kinds())


def detectors() -> str:
    """The page of all detectors."""
    parts = [NOTE + "# Detectors\n"]
    for detector in all_detectors().values():
        known = facts(detector)
        parts.append(f"\n## {known['detector']}\n\n{known['title']} ({', '.join(known['catalogue'])})\n\n{known['doc']}\n")
        parts.append("\n| finding | severity | meaning | unit |\n|---|---|---|---|\n")
        parts += [f"| {k['name']} | {k['severity']} | {k['meaning']} {k['advice']} | {k['unit']} |\n" for k in known["kinds"]]
        if known["options"]:
            parts.append("\n| option | default | meaning | basis |\n|---|---|---|---|\n")
        parts += [f"| {o['name']} | {o['default']:g} {o['unit']} | {o['doc']} | {o['basis']} |\n" for o in known["options"]]
        parts.append("\nReferences: " + "; ".join(known["references"]) + "\n")
    return "".join(parts)


def commands() -> str:
    """The page of all verbs, as `--help` prints them."""
    runner = CliRunner()
    pages = [NOTE + "# Commands\n"]
    for args in [[], *([verb] for verb in SUMMARIES)]:
        result = runner.invoke(root, [*args, "--help"], prog_name="peerwatch", terminal_width=110)
        pages.append(f"\n## {' '.join(['peerwatch', *args])}\n\n```\n{click.unstyle(result.output).rstrip()}\n```\n")
    return "".join(pages)


def log() -> str:
    """The page of all lines of `debug.log` that are understood."""
    text = NOTE + "# Lines of the log\n\nLines of `debug.log` that become rows of `log_event`, and what their fields are."
    text += " `<*>` is anything.\n"
    text += "\n| event | category | line | meaning | versions |\n|---|---|---|---|---|\n"
    for template in all_templates():
        line = re.sub(r"\{(word)?\}", "<*>", template.text).replace("|", "\\|")
        text += f"| {template.event} | {template.category} | `{line}` | {template.meaning} | {template.versions} |\n"
    return text


PAGES = {"log.md": log, "tables.md": tables, "weirds.md": weirds, "detectors.md": detectors, "commands.md": commands}


def main() -> int:
    """Write all pages; with --check, say which are out of date instead."""
    stale = []
    for name, page in PAGES.items():
        path, text = REFERENCE / name, page()
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(text)
    if stale:
        print(("out of date, run `make docs`: " if "--check" in sys.argv else "written: ") + ", ".join(stale))
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    raise SystemExit(main())
