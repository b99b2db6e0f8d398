"""The journal of facts."""

from __future__ import annotations

from peerwatch.sources.usdt.journal import Journal
from peerwatch.sources.usdt.link import Blind, Exited, Process


def process(journal: Journal, tgid: int, slot: int | None, *, ours: bool = True, session: int = 5) -> Process:
    fact = Process(journal.next, tgid, slot, ours, "key" if ours else "", None, session, 4, "started", None, None)
    journal.add(fact)
    return fact


def exited(journal: Journal, tgid: int, session: int = 5) -> Exited:
    fact = Exited(journal.next, tgid, 1, "key", None, session, 9)
    journal.add(fact)
    return fact


def blind(journal: Journal) -> Blind:
    fact = Blind(journal.next, 9, 8, 9, None, None, None, "why")
    journal.add(fact)
    return fact


def test_a_new_watcher_gets_everything_that_is_not_recorded() -> None:
    """Facts come in order from any point, with numbers that go up by one."""
    journal = Journal()
    facts = [process(journal, 1, None), blind(journal), process(journal, 1, 0), exited(journal, 1)]
    assert [fact.number for fact in facts] == [1, 2, 3, 4]
    assert journal.after(0) == facts
    assert journal.after(2) == facts[2:]
    assert journal.after(4) == []


def test_what_is_recorded_goes_unless_it_is_still_true() -> None:
    """The newest word about a living process of ours stays, for the next watcher."""
    journal = Journal()
    process(journal, 1, None)
    now = process(journal, 1, 0)
    blind(journal)
    process(journal, 2, 1, ours=False)
    gone = process(journal, 3, 2)
    left = exited(journal, 3)
    journal.recorded(4)
    assert journal.after(0) == [now, gone, left]
    journal.recorded(6)
    assert journal.after(0) == [now]
    exited(journal, 1)
    journal.recorded(7)
    assert journal.after(0) == []


def test_a_restarted_process_with_the_same_number_is_another() -> None:
    """The end of one session does not end the other."""
    journal = Journal()
    process(journal, 1, 0, session=5)
    exited(journal, 1, session=5)
    again = process(journal, 1, 1, session=6)
    journal.recorded(3)
    assert journal.after(0) == [again]


def test_whose_a_slot_is_stays_known() -> None:
    """The ring may hold records of a process whose end is in the archive, and of one that is not ours."""
    journal = Journal()
    ours = process(journal, 1, 0)
    other = process(journal, 2, 1, ours=False)
    exited(journal, 1)
    journal.recorded(3)
    assert journal.of_slot(0) == ours
    assert journal.of_slot(1) == other
    assert journal.of_slot(2) is None


def test_recording_goes_forward_and_not_beyond_the_end() -> None:
    """A watcher cannot record what has not happened: facts to come are kept."""
    journal = Journal()
    blind(journal)
    journal.recorded(1_000_000)
    later = blind(journal)
    journal.recorded(1)
    assert journal.after(0) == [later]
    journal.recorded(2)
    assert journal.after(0) == []


def test_facts_that_nobody_records_are_bounded_and_counted() -> None:
    """Without a watcher the oldest go, but never what is true now; how many is told once."""
    journal = Journal(most=100)
    living = [process(journal, tgid, tgid) for tgid in range(10)]
    for _ in range(10_000):
        blind(journal)
    kept = journal.after(0)
    assert len(kept) <= 100
    assert kept[:10] == living
    assert kept[-1].number == 10_010
    assert len(kept) + journal.take_forgotten() == 10_010
    assert journal.take_forgotten() == 0
