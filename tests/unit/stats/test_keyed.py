"""Columns of numbers for a bounded number of keys."""

from __future__ import annotations

import numpy as np
import pytest

from peerwatch.stats.keyed import REFUSED, Keyed, Merge


def counting(capacity: int) -> Keyed:
    """A keyed count."""
    keyed = Keyed(capacity)
    keyed.column("n", np.int64)
    return keyed


def count(keyed: Keyed, *keys: int, ts: int = 0) -> list[int]:
    """Count one for each key; returns the slots."""
    slots = keyed.locate(np.array(keys, np.int64), np.full(len(keys), ts))
    kept = slots != REFUSED
    np.add.at(keyed["n"], slots[kept], 1)
    return slots.tolist()


def test_rows_of_a_key_share_a_slot():
    """A key keeps its slot, and its numbers add up."""
    keyed = counting(4)
    first = count(keyed, 7, -3, 7)
    assert count(keyed, -3)[0] == first[1]
    assert (keyed.of(7, "n"), keyed.of(-3, "n"), len(keyed)) == (2, 2, 2)


def test_new_key_starts_with_initial_values():
    """A slot that is used again has nothing of the key before."""
    keyed = counting(1)
    keyed.column("start", np.float64, initial=1.5)
    keyed.column("wide", np.int32, width=3)
    slots = keyed.locate(np.array([1]), np.array([0]))
    keyed["start"][slots], keyed["wide"][slots], keyed["n"][slots] = 9, 9, 9
    keyed.drop(slots)
    assert keyed.slot(1) == REFUSED
    keyed.locate(np.array([2]), np.array([0]))
    assert (keyed.of(2, "start"), keyed.of(2, "wide"), keyed.of(2, "n")) == (1.5, [0, 0, 0], 0)


def test_no_room_refuses_in_order_of_appearance():
    """The first keys that come get the room, whatever their values, and the others are counted."""
    keyed = counting(2)
    assert [slot == REFUSED for slot in count(keyed, 9, 5, 1, 9)] == [False, False, True, False]
    assert (keyed.refused, len(keyed)) == (1, 2)


def test_order_of_refusal_does_not_depend_on_batches():
    """One call or many: the same keys are kept."""
    keys = np.random.default_rng(0).integers(0, 50, 200).tolist()
    whole, parts = counting(10), counting(10)
    count(whole, *keys)
    for key in keys:
        count(parts, key)
    assert whole["key"][whole.slots()].tolist() == parts["key"][parts.slots()].tolist()


def test_sweep_forgets_the_longest_unused():
    """When there is no room, an eighth of the keys goes: those used the longest time ago, the smaller key first."""
    keyed = counting(16)
    for key in range(16):
        count(keyed, key, ts=key // 2)
    count(keyed, 0, ts=100)
    keyed.sweep()
    assert (keyed.evicted, len(keyed)) == (2, 14)
    assert [keyed.slot(key) == REFUSED for key in (0, 1, 2, 3)] == [False, True, True, False]


def test_sweep_with_room_does_nothing():
    """Nobody is forgotten as long as there is room."""
    keyed = counting(4)
    count(keyed, 1, 2)
    keyed.sweep()
    assert (len(keyed), keyed.evicted) == (2, 0)


def test_merge_rules():
    """A key that both saw is merged column by column, one that only the other saw is taken over."""
    both = []
    for value in (3, 5):
        keyed = counting(4)
        for rule in Merge:
            keyed.column(rule.value, np.int64, merge=rule)
        slots = keyed.locate(np.array([1, value]), np.array([value, value]))
        for name in ("n", *Merge):
            keyed[name][slots] = value
        both.append(keyed)
    both[0].merge(both[1])
    assert [both[0].of(1, rule.value) for rule in (Merge.SUM, Merge.MIN, Merge.MAX)] == [8, 3, 5]
    assert [both[0].of(5, rule.value) for rule in (Merge.SUM, Merge.MIN, Merge.MAX)] == [5, 5, 5]
    assert both[0].of(1, "used") == 5


def test_merge_needs_the_same_columns():
    """Statistics of different kinds are not mixed up."""
    with pytest.raises(ValueError, match="different columns"):
        counting(1).merge(Keyed(1))


def test_restore_into_less_room():
    """A smaller capacity keeps what fits and counts the rest."""
    keyed, smaller = counting(4), counting(2)
    count(keyed, 1, 2, 3)
    smaller.restore(keyed.state())
    assert (len(smaller), smaller.refused) == (2, 1)
    assert smaller.of(1, "n") == 1


def test_misuse_is_refused():
    """No room at all, and two columns of one name, are mistakes."""
    with pytest.raises(ValueError, match="room for one key"):
        Keyed(0)
    with pytest.raises(ValueError, match="column n already"):
        counting(1).column("n", np.int8)
