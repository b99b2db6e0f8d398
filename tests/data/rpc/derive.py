"""Makes the answers of other versions out of those that a v29 node gave, by what changed in Bitcoin Core: see README.md.

python tests/data/rpc/derive.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RECORDED = 29
VERSIONS = range(22, 32)

KNOTS = {
    "getpeerinfo": {"last_block_announcement", "cpu_load", "forced_inbound", "misbehavior_score"},
    "getmempoolinfo": {"dustrelayfee", "dustrelayfeefloor", "dustdynamic", "rbf_policy", "truc_policy"},
}
"""What Bitcoin Knots has and Core has not."""

CAME: dict[str, dict[str, tuple[int, Any]]] = {
    "getpeerinfo": {
        "addr_relay_enabled": (23, True),
        "presynced_headers": (24, -1),
        "transport_protocol_type": (26, "v1"),
        "session_id": (26, ""),
        "last_inv_sequence": (31, 7),
        "inv_to_send": (31, 2),
    },
    "getmempoolinfo": {
        "incrementalrelayfee": (24, 0.00001),
        "fullrbf": (24, True),
        "permitbaremultisig": (30, True),
        "maxdatacarriersize": (30, 100_000),
        "limitclustercount": (31, 64),
        "limitclustersize": (31, 101_000),
        "optimal": (31, True),
    },
    "getblockchaininfo": {"time": (23, 1_795_586_029), "bits": (29, "207fffff"), "target": (29, "7f" + 31 * "ff")},
}
"""Fields, the version that brought each, and what it is where the recorded answer has none."""

WENT = {
    "getpeerinfo": {"startingheight": 31},
    "getorphantxs": {"entry": 30, "expiration": 30},
    "getblockchaininfo": {"softforks": 24},
}
"""Fields, and the first version without each (but for -deprecatedrpc)."""

METHODS = {"getaddrmaninfo": 26, "getrawaddrman": 26, "getorphantxs": 29}
"""Methods, and the version that brought each."""

WARNINGS_ARRAY = 28
"""First version with an array of warnings."""


def derived(version: int) -> dict[str, Any]:
    """Answers of a version, by method."""
    answers = json.loads((HERE / f"v{RECORDED}.json").read_text())
    answers = {method: answer for method, answer in answers.items() if METHODS.get(method, 0) <= version}
    answers["getblockchaininfo"]["softforks"] = {}
    for method, answer in answers.items():
        for each in objects(answer):
            for field, (since, value) in CAME.get(method, {}).items():
                each.setdefault(field, value)
                if version < since:
                    del each[field]
            gone = {field for field, until in WENT.get(method, {}).items() if version >= until}
            for field in gone | KNOTS.get(method, set()):
                each.pop(field, None)
            if version < WARNINGS_ARRAY and "warnings" in each:
                each["warnings"] = ""
    answers["getnetworkinfo"] |= {"version": version * 10_000, "subversion": f"/Satoshi:{version}.0.0/"}
    return answers


def objects(answer: Any) -> Iterator[dict[str, Any]]:
    """The objects that an answer is, or is an array of."""
    yield from answer if isinstance(answer, list) else [answer] if isinstance(answer, dict) else []


def written(answers: dict[str, Any]) -> str:
    """Answers as they stand in a file."""
    return json.dumps(answers, indent=1) + "\n"


if __name__ == "__main__":
    for number in VERSIONS:
        if number != RECORDED:
            (HERE / f"v{number}.json").write_text(written(derived(number)))
