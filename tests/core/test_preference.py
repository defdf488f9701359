"""What is less and what is more, and what a subject's entries add up to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choices import DAY, NOW
from handraiser.core.block import Purpose, read_purpose
from handraiser.core.consent import Entry, Event
from handraiser.core.preference import PREFERS, Preference, break_until, lesser, preferred
from handraiser.errors import Refused

RARER = ["monthly", "quarterly"]
TOPICS = ("use", "care", "repair")
WISHES = st.builds(
    Preference,
    st.none() | st.sets(st.sampled_from(TOPICS), min_size=1).map(lambda some: tuple(sorted(some))),
    st.sampled_from(["", *RARER]),
)
PURPOSE = {
    "id": "tips",
    "version": 1,
    "texts": {"en": dict.fromkeys(("what", "frequency", "benefit", "benefit_now", "button"), "x")},
    "topics": [{"id": "use", "texts": {"en": "Use"}}, {"id": "care", "texts": {"en": "Care", "nl": "Zorg"}}],
    "frequencies": [{"id": "monthly", "texts": {"en": "Monthly"}}],
}


def shown(wish: Preference) -> set[str]:
    return set(TOPICS if wish.topics is None else wish.topics)


@given(WISHES, WISHES)
def test_the_lesser_of_two_wishes_asks_for_nothing_that_is_not_held(held: Preference, wanted: Preference):
    kept = lesser(held, wanted, RARER)

    assert shown(kept) == (shown(held) & shown(wanted) or shown(held))
    order = ["", *RARER]
    assert order.index(kept.frequency) == max(order.index(held.frequency), order.index(wanted.frequency))
    assert lesser(kept, wanted, RARER) == kept


@given(WISHES)
def test_a_wish_is_read_as_it_was_written(wish: Preference):
    assert Preference.from_json(wish.to_json()) == wish


def test_no_wish_is_everything_as_promised():
    assert Preference.from_json("") == Preference(None, "")


@given(st.integers(0, 2**41), st.sampled_from([1, 3, 6]))
def test_a_break_lasts_so_many_months_and_ends_at_a_midnight(now: int, months: int):
    until = break_until(now, months)

    assert until % DAY == 0
    assert 30 * months * DAY < until - now <= (31 * months + 1) * DAY


def an_entry(event: Event, purpose: str = "tips", **given: object) -> Entry:
    values: dict[str, object] = {
        "event_id": b"e" * 16, "controller_id": b"c" * 16, "subject_id": b"s" * 16, "dedup_key": b"d" * 32,
        "occurred_at": NOW, "received_at": NOW, "recorded_at": NOW,
    }  # fmt: skip
    return Entry(purpose=purpose, event=event, **(values | given))


def test_the_last_wish_of_a_purpose_holds_and_an_erasure_ends_all():
    first, last = an_entry(Event.PREFERRED, preference="1"), an_entry(Event.PREFERRED, preference="2")
    pause = an_entry(Event.PAUSED, "*", expires_at=NOW + DAY)
    entries = [first, an_entry(Event.GRANTED), pause, last]

    assert preferred(entries) == {"tips": last, "*": pause}
    assert preferred([*entries, an_entry(Event.RESUMED, "*")])["*"].expires_at is None
    assert preferred([*entries, an_entry(Event.ERASED, "*")]) == {}
    assert {one.event for one in preferred(entries).values()} <= PREFERS


def test_a_purpose_holds_its_topics_and_frequencies_in_their_order():
    purpose = read_purpose(PURPOSE)

    assert [one.id for one in purpose.topics] == ["use", "care"]
    assert purpose.frequencies[0].texts == {"en": "Monthly"}
    assert Purpose.from_json(purpose.to_json()) == purpose


@pytest.mark.parametrize(
    ("topics", "pointer"),
    [
        ("use", "/topics/0"),
        ([{"id": "Use", "texts": {"en": "Use"}}], "/topics/0"),
        ([{"id": "use", "texts": {}}], "/topics/0"),
        ([{"id": "use", "texts": {"en": " "}}], "/topics/0"),
        ([PURPOSE["topics"][0], PURPOSE["topics"][0]], "/topics/1"),
        ([{"id": "use", "texts": {"en": "Use"}, "colour": "red"}], "/topics/0/colour"),
        ([None], "/topics/0"),
    ],
)
def test_what_is_no_topic_is_named(topics: object, pointer: str):
    with pytest.raises(Refused) as refused:
        read_purpose({**PURPOSE, "topics": topics})

    assert [fault.pointer for fault in refused.value.faults] == [pointer]
