"""Token buckets of many keys at once, as Bitcoin Core limits addresses: what came beyond them is what it refused."""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import Array
from peerwatch.stats.keyed import Keyed, Merge


class TokenBuckets:
    """One bucket a key of `keyed`: `rate` tokens a second up to `cap`, `start` of them at first.

    Follows `ProcessAddrs` of Core's net_processing.cpp: time adds tokens only below the cap, a grant may lift the bucket above
    it, and whole tokens are spent one at a time. Exact against it but for the time within a second (at most `rate` tokens).

    >>> keyed = Keyed(10)
    >>> buckets = TokenBuckets(keyed, "limit", rate=0.1, cap=1000, start=1)
    >>> slot = keyed.locate(np.array([4]), np.array([0]))
    >>> buckets.open(slot, 100)
    >>> buckets.spend(slot, 110, np.array([5]))  # 1 token at first and 1 after ten seconds
    array([3])
    """

    def __init__(self, keyed: Keyed, name: str, *, rate: float, cap: float, start: float) -> None:
        """Add the columns `<name>.tokens`, `<name>.at` (s of the last change) and `<name>.beyond` (amount refused so far)."""
        self.rate, self.cap, self.start = rate, cap, start
        self._keyed = keyed
        self._tokens, self._at, self._beyond = f"{name}.tokens", f"{name}.at", f"{name}.beyond"
        keyed.column(self._tokens, np.float64, initial=start, merge=Merge.MIN)
        keyed.column(self._at, np.int64, merge=Merge.MAX)
        keyed.column(self._beyond, np.int64)

    def open(self, slots: Array, second: Array | int, tokens: Array | float | None = None) -> None:
        """Start the buckets of `slots` at `second`, with `tokens` in place of the usual start."""
        self._keyed[self._tokens][slots] = self.start if tokens is None else tokens
        self._keyed[self._at][slots] = second

    def grant(self, slots: Array, tokens: Array) -> None:
        """Add tokens at once, beyond the cap if need be. `slots` are distinct."""
        self._keyed[self._tokens][slots] += tokens

    def spend(self, slots: Array, second: int, amounts: Array) -> Array:
        """Take `amounts` out of the buckets of `slots` (distinct) at `second`; returns how much there was no token for."""
        tokens, at = self._keyed[self._tokens], self._keyed[self._at]
        have = self.tokens(slots, second)
        granted = np.minimum(amounts, np.floor(have).astype(np.int64))
        tokens[slots] = have - granted
        at[slots] = np.maximum(at[slots], second)
        refused = amounts - granted
        self._keyed[self._beyond][slots] += refused
        return np.asarray(refused)

    def tokens(self, slots: Array, second: int) -> Array:
        """Tokens that there are at `second`."""
        have = self._keyed[self._tokens][slots]
        gained = np.maximum(second - self._keyed[self._at][slots], 0) * self.rate
        return np.asarray(np.where(have < self.cap, np.minimum(have + gained, self.cap), have))

    def beyond(self, slots: Array) -> Array:
        """How much was refused so far, or since `forgive`."""
        return self._keyed[self._beyond][slots]

    def forgive(self, slots: Array) -> None:
        """Forget what was refused."""
        self._keyed[self._beyond][slots] = 0
