#!/usr/bin/env python3
"""Times one public Bitcoin library decoding payloads: `decoders.py NAME FOLDER FILE`, with the library installed in FOLDER.

FILE holds messages as they stand on the wire (24 bytes of header each). For each type that the library knows, it prints, as JSON,
the CPU seconds that one pass over all messages of it takes, the best of a few. It runs in a process of its own and uses the
standard library alone, so that whatever a library brings along meets nothing else.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Decode = Callable[[bytes], object]
TIMES = 2
HEADER = 24


def btclib() -> dict[str, Decode]:
    """Every payload class; only parsing is asked for, without its checks of consensus rules."""
    p2p = importlib.import_module("btclib.p2p")
    found = {}
    for name in p2p.__all__:
        kind = getattr(getattr(p2p, name), "command", None)
        if isinstance(kind, str):
            parse = getattr(p2p, name).parse
            found[kind] = lambda payload, parse=parse: parse(payload, check_validity=False)
    return found


def python_bitcoinlib() -> dict[str, Decode]:
    """What a message becomes behind its header."""
    known = importlib.import_module("bitcoin.messages").messagemap
    return {kind.decode(): lambda payload, read=message.msg_deser: read(io.BytesIO(payload)) for kind, message in known.items()}


def pycoin() -> dict[str, Decode]:
    """The parser of messages by name."""
    parse = importlib.import_module("pycoin.symbols.btc").network.message.parse
    known = importlib.import_module("pycoin.message.make_parser_and_packer").standard_messages()
    return {kind: lambda payload, kind=kind: parse(kind, payload) for kind in known}


def bits() -> dict[str, Decode]:
    """The parsers of payloads, and of transactions and blocks."""
    p2p, tx, blocks = (importlib.import_module(f"bits.{name}") for name in ("p2p", "tx", "blockchain"))
    known = ("version", "ping", "getheaders", "feefilter", "sendcmpct", "inv", "addr")
    return {kind: getattr(p2p, f"parse_{kind}_payload") for kind in known} | {"tx": tx.tx_deser, "block": blocks.block_deser}


def buidl() -> dict[str, Decode]:
    """The classes of messages, transactions and blocks that can be parsed."""
    network, tx, block, filters, merkle = (
        importlib.import_module(f"buidl.{name}") for name in ("network", "tx", "block", "compactfilter", "merkleblock")
    )
    known = {
        "verack": network.VerAckMessage, "ping": network.PingMessage, "pong": network.PongMessage,
        "headers": network.HeadersMessage, "tx": tx.Tx, "block": block.Block, "cfilter": filters.CFilterMessage,
        "cfheaders": filters.CFHeadersMessage, "cfcheckpt": filters.CFCheckPointMessage, "merkleblock": merkle.MerkleBlock,
    }  # fmt: skip
    return {kind: lambda payload, parse=what.parse: parse(io.BytesIO(payload)) for kind, what in known.items()}


def bitcoin_utils() -> dict[str, Decode]:
    """Transactions, which it takes in hexadecimal."""
    transactions = importlib.import_module("bitcoinutils.transactions")
    return {"tx": lambda payload: transactions.Transaction.from_raw(payload.hex())}


def bitcoinlib() -> dict[str, Decode]:
    """Transactions and blocks."""
    transactions, blocks = (importlib.import_module(f"bitcoinlib.{name}") for name in ("transactions", "blocks"))
    return {
        "tx": transactions.Transaction.parse,
        "block": lambda payload: blocks.Block.parse_bytes(payload, parse_transactions=True),
    }


LIBRARIES: dict[str, tuple[str, Callable[[], dict[str, Decode]]]] = {
    "btclib": ("2026.10.24", btclib),
    "python-bitcoinlib": ("0.12.2", python_bitcoinlib),
    "pycoin": ("0.92718.20260405", pycoin),
    "bits": ("0.2.1", bits),
    "buidl": ("0.2.36", buidl),
    "bitcoin-utils": ("0.8.8", bitcoin_utils),
    "bitcoinlib": ("0.7.10", bitcoinlib),
}
"""Public Python libraries that decode Bitcoin's messages, or some of them: name in the registry, version, how to call it."""


def messages(data: bytes) -> dict[str, list[bytes]]:
    """Payloads by type."""
    found: dict[str, list[bytes]] = {}
    at = 0
    while at < len(data):
        kind, size = data[at + 4 : at + 16].rstrip(b"\0").decode(), int.from_bytes(data[at + 16 : at + 20], "little")
        found.setdefault(kind, []).append(data[at + HEADER : at + HEADER + size])
        at += HEADER + size
    return found


def timed(decode: Decode, payloads: list[bytes]) -> float | str:
    """CPU seconds for all payloads, or why it does not decode them."""
    best = float("inf")
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # some print what they think of a payload
            for _ in range(TIMES):
                began = time.process_time()
                for payload in payloads:
                    decode(payload)
                best = min(best, time.process_time() - began)
    except Exception as error:  # noqa: BLE001 - whatever a library raises, it does not decode this
        return f"{type(error).__name__}: {error}"[:100]
    return best


def main() -> None:
    """Time one library."""
    name, folder, file = sys.argv[1:]
    sys.path.insert(0, folder)
    logging.disable()
    decoders = LIBRARIES[name][1]()
    found: dict[str, Any] = {k: timed(decoders[k], p) for k, p in messages(Path(file).read_bytes()).items() if k in decoders}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
