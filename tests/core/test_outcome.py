"""What came of an exposure, as the ledger tells it."""

from __future__ import annotations

import pytest

from handraiser.core.consent import ALL_PURPOSES, Event
from handraiser.core.outcome import DAY_MS, Outcome, Said, outcome
from rows import NOW

WINDOW = 14


def said(event: str, day: float, *, purpose: str = "tips", pressed: bool = True, actor: str = "subject") -> Said:
    method, attestation = ("button", "sec_fetch_user") if pressed else ("auto", "none")
    return Said(purpose, event, NOW + int(day * DAY_MS), method, attestation, actor)


def came_of(*entries: Said) -> Outcome:
    return outcome(NOW, "tips", WINDOW, entries)


def test_a_yes_that_a_person_pressed_counts_on_its_day():
    assert came_of() == Outcome()
    assert came_of(said(Event.GRANTED, 0)).converted == 0
    assert came_of(said(Event.PENDING, 0.5), said(Event.GRANTED, 2.5)).converted == 2
    assert came_of(said(Event.GRANTED, 1), said(Event.GRANTED, 3)).converted == 1


@pytest.mark.parametrize(
    "entry",
    [
        said(Event.GRANTED, 1, pressed=False),
        said(Event.PENDING, 1),
        said(Event.GRANTED, WINDOW),
        said(Event.GRANTED, -0.1),
        said(Event.GRANTED, 1, purpose="offers"),
        Said("tips", Event.GRANTED, NOW + 1, "button", "none", "subject"),
    ],
    ids=["nobody pressed", "waits", "after the window", "before the exposure", "another purpose", "not attested"],
)
def test_what_is_no_yes_in_the_window_does_not_count(entry: Said):
    assert came_of(entry) == Outcome()


def test_a_provisional_yes_counts_once_it_is_pressed():
    assert came_of(said(Event.GRANTED, 1, pressed=False), said(Event.GRANTED, 4)).converted == 4


def test_what_is_voided_was_no_yes_whenever_that_is_said():
    by_the_system = said(Event.VOIDED, 40, actor="system")
    assert came_of(said(Event.GRANTED, 1), by_the_system) == Outcome()
    assert came_of(said(Event.GRANTED, 1), said(Event.VOIDED, 2)) == Outcome(not_me=2)
    assert came_of(said(Event.GRANTED, 1), said(Event.VOIDED, 2), said(Event.GRANTED, 5)) == Outcome(5, not_me=2)


def test_a_yes_that_is_taken_back_within_thirty_days_still_counts_and_so_does_its_end():
    assert came_of(said(Event.GRANTED, 10), said(Event.WITHDRAWN, 39)) == Outcome(10, withdrawn=39)
    assert came_of(said(Event.GRANTED, 10), said(Event.WITHDRAWN, 40)) == Outcome(10)
    assert came_of(said(Event.GRANTED, 1), said(Event.WITHDRAWN, 2), said(Event.GRANTED, 2.1)) == Outcome(1)
    assert came_of(said(Event.WITHDRAWN, 2)) == Outcome()


def test_an_objection_to_everything_counts_against_every_purpose():
    assert came_of(said(Event.OBJECTED, 3, purpose=ALL_PURPOSES)) == Outcome(objected=3)
    assert came_of(said(Event.OBJECTED, 3), said(Event.OBJECTED, 9)) == Outcome(objected=3)
    assert came_of(said(Event.OBJECTED, 30)) == Outcome()


@pytest.mark.parametrize("kept", [Outcome(), Outcome(3), Outcome(None, None, 2), Outcome(0, 1, None, 29)])
def test_an_outcome_is_read_as_it_was_kept(kept: Outcome):
    assert Outcome.unpacked(kept.packed) == kept


def test_most_outcomes_take_no_room():
    assert Outcome().packed == ""
