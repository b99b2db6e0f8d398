"""Token buckets as Core's limiter on addresses."""

from __future__ import annotations

import numpy as np
import pytest

from peerwatch.stats.keyed import Keyed
from peerwatch.stats.token_bucket import TokenBuckets


@pytest.fixture
def bucket():
    """Core's limiter for one peer that connected in second 0."""
    keyed = Keyed(4)
    buckets = TokenBuckets(keyed, "limit", rate=0.1, cap=1000, start=1)
    slot = keyed.locate(np.array([1]), np.array([0]))
    buckets.open(slot, 0)
    return buckets, slot


def spend(bucket, second: int, amount: int) -> int:
    """What is refused of an amount."""
    buckets, slot = bucket
    return int(buckets.spend(slot, second, np.array([amount]))[0])


@pytest.mark.parametrize(("granted", "first"), [(0, 1), (1000, 1001)])
def test_as_core_tests_it(bucket, granted, first):
    """The steps of Core's p2p_addr_relay.py: 600, 600 and 10 at once, 200 after 100 s, 200 after 1000 s more."""
    buckets, slot = bucket
    buckets.grant(slot, np.array([float(granted)]))
    refused = [spend(bucket, 0, amount) for amount in (600, 600, 10)]
    assert sum(refused) == 1210 - first
    assert spend(bucket, 100, 200) == 190
    assert spend(bucket, 1100, 200) == 100
    assert buckets.beyond(slot).tolist() == [1210 - first + 290]


def test_saves_up_to_the_cap(bucket):
    """A day of silence saves no more than 1000 tokens."""
    assert spend(bucket, 86_400, 1500) == 500


def test_grant_goes_beyond_the_cap_and_stops_time(bucket):
    """A grant lifts the bucket above the cap; time adds nothing until it is below again."""
    buckets, slot = bucket
    assert spend(bucket, 20_000, 0) == 0
    buckets.grant(slot, np.array([1000.0]))
    assert buckets.tokens(slot, 90_000).tolist() == [2000]
    assert spend(bucket, 90_000, 2001) == 1


def test_time_that_goes_back_takes_nothing(bucket):
    """A late second neither gives nor takes."""
    spend(bucket, 100, 0)
    assert spend(bucket, 50, 12) == 1


def test_forgive(bucket):
    """What was refused can be forgotten."""
    buckets, slot = bucket
    spend(bucket, 0, 10)
    buckets.forgive(slot)
    assert buckets.beyond(slot).tolist() == [0]
