"""How the address messages of each peer look: what is in them, of what size they are, and when they come.

Everything is kept over a sliding sample of the newest entries and messages of a peer: when a sample is full it is halved, so that
a peer that behaved for days cannot hide a flood behind its past.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from peerwatch.detect.address_space import FIRST_SPECIAL, V4, folded, special
from peerwatch.detect.limiter import Offer
from peerwatch.schema.batch import SECOND, Array, Rows
from peerwatch.stats.histogram import Histograms
from peerwatch.stats.keyed import Keyed, Merge
from peerwatch.stats.spacing import Spacing
from peerwatch.stats.tails import binomial
from peerwatch.stats.tally import tally
from peerwatch.stats.token_bucket import TokenBuckets

AVG_ADDRESS_BROADCAST_INTERVAL = 30
"""net_processing.cpp: seconds between a node's address messages to one peer, on average; the times are a Poisson process."""

RELAYED_ENTRIES = 10
"""net_processing.cpp: Core passes on addresses of messages with at most so many entries."""

LEAST_SIZE = 5
"""Messages of fewer entries are alike by nature: at honest rates most have one."""

OWN = 4
"""Special addresses of one peer that are not held against it: nodes behind NAT or in a container announce their own."""

ENTRIES, MESSAGES = 2000, 64
"""Size of the samples."""

UNIFORM_ENTRIES, UNIFORM_DISPERSION = 800, 1.3
"""Index of dispersion over the /8s: 1 within 0.1 for uniform random addresses. That 45 of the 223 /8s have no nodes would alone
make it 1.9 at 800 entries, and honest addresses are far more concentrated than that.
"""

BURST = 8
"""Messages that may come at once, and then one in half the average interval. For a Poisson process the probability of being
beyond that at a given time is exp(-1.26 * 8) = 4e-5."""

FAR_S = 1 << 40
"""Clocks further off than this count as this far off: the sum of times has to stay a number."""

FUTURE_S = (60, 600)
"""Timestamps so far ahead are noticed: beyond clock error, and below the 10 minutes from which on Core replaces them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on gossip is conspicuous; see the options of `addr_flood`."""

    special_share: float
    special_p: float
    future_share: float
    future_entries: int
    regular_messages: int
    regular_share: float
    regular_spacing: float


@dataclass(frozen=True, slots=True)
class Signs:
    """What is conspicuous in the gossip of peers, a row each."""

    special: Array
    """Too many special addresses for honest gossip."""
    uniform: Array
    """Addresses spread evenly over all of IPv4."""
    future: Array
    """Too many timestamps in the near future."""
    regular: Array
    """Messages of one size, or at fixed intervals."""
    hurried: Array
    """More messages than Core's own timer makes."""

    @property
    def content(self) -> Array:
        """Any sign in what is said, which an honest relay of a flood shows, too."""
        return np.asarray(self.special | self.uniform | self.future)


class Gossip:
    """Statistics on the address messages of the peers in `peers`, as its columns."""

    def __init__(self, peers: Keyed, limits: Limits) -> None:
        """Add the columns."""
        self.limits = limits
        self._peers = peers
        self._sizes = Histograms(peers, "sizes", RELAYED_ENTRIES + 2)
        self._slash8 = Histograms(peers, "slash8", 256)
        self._spacing = Spacing(peers, "gaps")
        self._timer = TokenBuckets(peers, "timer", rate=2 / AVG_ADDRESS_BROADCAST_INTERVAL, cap=BURST, start=BURST)
        for name in ("entries", "special", "future", "messages", "skew"):
            peers.column(name, np.int64)
        peers.column("skew_from", np.int64, initial=np.iinfo(np.int64).max, merge=Merge.MIN)
        peers.column("own", np.uint64, width=OWN, merge=Merge.MAX)
        peers.column("own_known", np.int8, merge=Merge.MAX)

    def clocks(self, versions: Rows) -> None:
        """Take how fast clocks of peers are from their first `version`; what they say before it is judged without.

        A slow clock explains no timestamp in the future: what a peer passes on was stamped by others' clocks.
        """
        got = np.flatnonzero(versions["inbound"])
        peer, ts, time = versions["peer"][got], versions["ts"][got], versions["time"][got]
        for slot, at, says in zip(self._peers.locate(peer, ts).tolist(), ts.tolist(), time.tolist(), strict=True):
            if slot >= 0 and self._peers["skew_from"][slot] == np.iinfo(np.int64).max:
                self._peers["skew_from"][slot] = at
                self._peers["skew"][slot] = min(max(says - at // SECOND, 0), FAR_S)

    def update(self, offer: Offer, rows: Mapping[str, Rows]) -> None:
        """Take the address messages of an offer."""
        addresses = rows["address"]
        peers = self._peers
        slot = offer.slot[offer.of]
        tally(peers["messages"], offer.slot)
        tally(peers["entries"], offer.slot, offer.entries)
        self._sizes.update(offer.slot, np.minimum(offer.entries, RELAYED_ENTRIES + 1))
        self._spacing.update(offer.slot, offer.ts)

        codes, names = addresses.codes("network")
        network = codes[offer.row]
        ip = addresses["ip"][offer.row]
        ipv4 = network == (names.index("ipv4") if "ipv4" in names else len(names))
        ipv6 = network == (names.index("ipv6") if "ipv6" in names else len(names))
        self._slash8.update(slot[ipv4], ip[ipv4, V4].astype(np.int64))
        self._special(slot, ip, special(ip, ipv4, ipv6))

        skew = np.where(peers["skew_from"][offer.slot] <= offer.ts, peers["skew"][offer.slot], 0)
        now = offer.ts // SECOND + skew
        ahead = addresses["time"][offer.row].astype(np.int64) - now[offer.of]
        tally(peers["future"], slot[(ahead > FUTURE_S[0]) & (ahead <= FUTURE_S[1])])

    def _special(self, slot: Array, ip: Array, found: Array) -> None:
        """Count special addresses, apart from the first few different ones of a peer, however often it repeats them."""
        (rows,) = found.nonzero()
        if not len(rows):
            return
        slot, address = slot[rows], folded(ip[rows])
        own, known = self._peers["own"], self._peers["own_known"]
        for _ in range(OWN + 1):
            among = (own[slot] == address[:, None]) & (np.arange(OWN) < known[slot][:, None])
            left = ~among.any(axis=1)
            slot, address = slot[left], address[left]
            room = np.flatnonzero(known[slot] < OWN)
            if not len(room):
                break
            fresh, first = np.unique(slot[room], return_index=True)
            own[fresh, known[fresh]] = address[room[first]]
            known[fresh] += 1
        tally(self._peers["special"], slot)

    def settle(self, slots: Array, second: int) -> None:
        """The second is over for peers that sent messages in it. Past hurry is forgotten when it was made up for by silence."""
        self._timer.forgive(slots[self._timer.tokens(slots, second) >= BURST])
        self._timer.spend(slots, second, self._peers["messages"][slots])
        self._peers["messages"][slots] = 0

    def signs(self, slots: Array) -> Signs:
        """What is conspicuous now."""
        peers, limits = self._peers, self.limits
        entries = peers["entries"][slots]
        size, alike, messages = self._sizes.mode(slots)
        one_size = (size >= LEAST_SIZE) & (size <= RELAYED_ENTRIES) & (alike >= limits.regular_share * messages)
        gaps = self._spacing.count(slots)
        clockwork = (gaps >= limits.regular_messages - 1) & (self._spacing.variation(slots) < limits.regular_spacing)
        counted = self._slash8.counts(slots)[:, 1:FIRST_SPECIAL].sum(axis=1)
        dispersion = self._slash8.dispersion(slots, 1, FIRST_SPECIAL)
        return Signs(
            special=self._improbable(peers["special"][slots], entries),
            uniform=(counted >= UNIFORM_ENTRIES) & (dispersion < UNIFORM_DISPERSION),
            future=(entries >= limits.future_entries) & (peers["future"][slots] > limits.future_share * entries),
            regular=((messages >= limits.regular_messages) & one_size) | clockwork,
            hurried=self._timer.beyond(slots) > 0,
        )

    def shares(self, slot: int) -> dict[str, float]:
        """Percentages of one peer's sample that a finding may name."""
        at = np.array([slot])
        entries = max(int(self._peers["entries"][slot]), 1)
        _, alike, messages = self._sizes.mode(at)
        return {
            "special_addresses_percent": round(100 * int(self._peers["special"][slot]) / entries, 1),
            "future_times_percent": round(100 * int(self._peers["future"][slot]) / entries, 1),
            "messages_of_one_size_percent": round(100 * int(alike[0]) / max(int(messages[0]), 1), 1),
        }

    def trim(self, slots: Array) -> None:
        """Halve the samples that are full."""
        peers = self._peers
        while len(full := slots[peers["entries"][slots] > ENTRIES]):
            for name in ("entries", "special", "future"):
                peers[name][full] //= 2
            self._slash8.halve(full)
        while len(full := slots[self._sizes.counts(slots).sum(axis=1) > MESSAGES]):
            self._sizes.halve(full)
        while len(full := slots[self._spacing.count(slots) > MESSAGES]):
            self._spacing.halve(full)

    def _improbable(self, special_entries: Array, entries: Array) -> Array:
        """Whether so many special entries are too improbable; entries may be fewer when a sample was halved in between."""
        limits = self.limits
        result = special_entries > 3 * limits.special_share * entries
        for nth in np.flatnonzero(result):
            k, n = int(special_entries[nth]), int(entries[nth])
            result[nth] = binomial(k, n, limits.special_share) < limits.special_p
        return result
