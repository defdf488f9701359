"""What waits for the database survives stops and crashes, and is forgotten only once it was applied."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handraiser.core.links import Link, LinkKind
from handraiser.store.journal import Journal, Left, _left, _line
from rows import NOW, TENTS, an_id


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "withdrawals.journal"


def a_left(n: int, **rest: object) -> Left:
    return Left(Link(1, an_id(n), LinkKind.WITHDRAW), NOW + n, **({"controller_id": TENTS} | rest))


def test_what_was_appended_is_there_at_the_next_start(path):
    journal = Journal(path)
    assert journal.oldest is None
    journal.append(a_left(1))
    journal.append(a_left(2, controller_id=None))

    again = Journal(path)

    assert again.oldest is not None
    assert again.pending() == [a_left(1), a_left(2, controller_id=None)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_only_what_was_applied_is_forgotten(path):
    journal, other = Journal(path), Journal(path)
    journal.append(a_left(1))
    applied = journal.pending()
    other.append(a_left(2))

    journal.discard(applied)

    assert journal.pending() == [a_left(2)]
    assert journal.oldest is not None
    journal.discard(journal.pending())
    assert journal.oldest is None
    assert Journal(path).oldest is None


def test_what_another_process_applied_no_longer_waits(path):
    journal, other = Journal(path), Journal(path)
    journal.append(a_left(1))
    other.discard(other.pending())

    journal.discard(journal.pending())

    assert journal.oldest is None


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_line_torn_by_a_crash_costs_nothing_but_itself(path, cut):
    journal = Journal(path)
    journal.append(a_left(1))
    whole = path.read_bytes()
    path.write_bytes(whole + _line(a_left(2))[:-cut])

    again = Journal(path)
    again.append(a_left(3))

    waiting = again.pending()
    assert [left.at - NOW for left in waiting if left.at != NOW + 2] == [1, 3]
    again.discard(waiting)
    assert again.oldest is None
    assert again.pending() == []


def test_a_damaged_line_is_moved_aside_and_not_lost(path):
    journal = Journal(path)
    journal.append(a_left(1))
    path.write_bytes(path.read_bytes().replace(b" 5 ", b" 4 ") + _line(a_left(2)))

    journal.discard(journal.pending())

    assert journal.oldest is None
    assert path.with_name("withdrawals.journal.damaged").read_bytes().startswith(b"1 ")


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "nowhere" / "journal")
    journal._lock = tmp_path / "file" / "lock"

    with pytest.raises(OSError):
        journal.append(a_left(1))
    assert journal.oldest is None


def test_an_entry_is_on_the_disk_before_it_counts(path, monkeypatch):
    synced: list[bytes] = []
    real = os.fsync

    def fsync(file: int) -> None:
        if stat.S_ISREG(os.fstat(file).st_mode):
            synced.append(path.read_bytes())
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    Journal(path).append(a_left(1))

    assert synced == [_line(a_left(1))]


@given(
    st.builds(
        Left,
        st.builds(Link, st.integers(0, 2**24 - 1), st.binary(min_size=16, max_size=16), st.sampled_from(LinkKind)),
        st.integers(0, 2**48),
        st.none() | st.binary(min_size=16, max_size=16),
    ),
    st.integers(0, 2000),
)
def test_a_line_reads_back_and_any_flipped_bit_is_noticed(left, bit):
    line = _line(left).rstrip()

    assert _left(line) == left
    broken = bytearray(line)
    broken[(bit // 8) % len(line)] ^= 1 << bit % 8
    assert _left(bytes(broken)) is None


@given(st.binary(max_size=200))
def test_no_bytes_are_mistaken_for_an_entry(noise):
    assert _left(noise) is None
