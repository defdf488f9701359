"""A consent told by another system is read leniently, checked whole, and set against where the customer stands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choices import DAY, NOW
from handraiser.core.consent import ALL_PURPOSES, Event, Standing, State
from handraiser.core.consent_record import after_record, after_record_of_all, read_record, says_nothing
from handraiser.errors import Fault

GRANT = {"email": "alice@example.com", "purpose": "offers", "event": "granted"}


def read(**given: Any) -> Any:
    faults: list[Fault] = []
    record = read_record({**GRANT, **given}, {"offers", "news"}, NOW, ZoneInfo("Europe/Amsterdam"), faults=faults)
    assert (record is None) is bool(faults)
    return record


def pointers(given: object) -> list[tuple[str, str]]:
    faults: list[Fault] = []
    assert read_record(given, {"offers", "news"}, NOW, UTC, faults=faults) is None
    return [(fault.pointer, fault.code) for fault in faults]


def test_the_least_that_is_a_record():
    record = read()
    assert (record.email, record.purpose, record.channel, record.event) == (
        "alice@example.com",
        "offers",
        "email",
        Event.GRANTED,
    )
    assert (record.occurred_at, record.evidence) == (None, {})


def test_all_that_a_record_can_hold():
    record = read(
        customer_id=42,
        channel="sms",
        occurred_at="2026-01-02T03:04:05Z",
        source="form 7",
        wording="Yes, please.",
        language="nl",
        country="NL",
        ip="203.0.113.77",
        proof_url="https://shop.example/proof/1",
    )
    assert (record.customer_id, record.channel, record.country) == ("42", "sms", "NL")
    assert record.occurred_at == int(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp() * 1000)
    assert record.evidence == {
        "source": "form 7",
        "network": "203.0.113.0/24",
        "proof_url": "https://shop.example/proof/1",
    }
    assert read(ip="2001:db8:1:2::3").evidence == {"network": "2001:db8:1::/48"}


def test_a_time_without_a_zone_is_the_shops():
    assert read(occurred_at="2026-07-01T12:00:00").occurred_at == read(occurred_at="2026-07-01T10:00:00Z").occurred_at
    assert read(occurred_at="2026-07-01").occurred_at == read(occurred_at="2026-06-30T22:00:00Z").occurred_at
    assert read(occurred_at=NOW - 5).occurred_at == read(occurred_at=str(NOW - 5)).occurred_at == NOW - 5


def test_a_clock_that_runs_ahead_a_little_is_set_back_and_a_lot_is_refused():
    assert read(occurred_at=NOW + 60_000).occurred_at == NOW
    assert pointers({**GRANT, "occurred_at": NOW + DAY}) == [("/occurred_at", "in_the_future")]
    assert pointers({**GRANT, "occurred_at": NOW // 1000}) == [("/occurred_at", "bad_value")]


def test_every_fault_is_named_at_once():
    given = {"email": "a@b@c", "purpose": "x", "event": "yes", "channel": "fax", "occurred_at": "soon", "colour": "red"}
    assert pointers(given) == [
        ("/colour", "unknown_field"),
        ("/email", "bad_value"),
        ("/event", "bad_value"),
        ("/channel", "bad_value"),
        ("/purpose", "unknown_purpose"),
        ("/occurred_at", "bad_value"),
    ]
    assert pointers({}) == [("/email", "missing"), ("/event", "missing"), ("/purpose", "missing")]
    assert pointers([]) == [("", "wrong_type")]
    assert pointers({**GRANT, "country": "Holland", "language": "?", "ip": "x", "wording": "a\0b", "source": 7}) == [
        ("/source", "wrong_type"),
        ("/wording", "bad_value"),
        ("/country", "bad_value"),
        ("/language", "bad_value"),
        ("/ip", "bad_value"),
    ]


def test_only_leaving_can_be_for_all_purposes():
    assert read(purpose="*", event="withdrawn").purpose == ALL_PURPOSES
    assert pointers({**GRANT, "purpose": "*"}) == [("/purpose", "unknown_purpose")]


@pytest.mark.parametrize("nobody", ["", "0", "null", "Guest", 0])
def test_a_customer_id_that_means_nobody_is_none(nobody: Any):
    assert read(customer_id=nobody).customer_id == ""
    assert pointers({"customer_id": nobody, "purpose": "offers", "event": "granted"}) == [("/email", "missing")]


def test_a_blank_cell_says_nothing():
    assert says_nothing({"event": " "})
    assert says_nothing({"event": None})
    assert says_nothing({})
    assert not says_nothing({"event": "granted"})


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.floats() | st.text()))
def test_whatever_comes_is_read_or_refused_with_a_reason(given: dict[str, Any]):
    faults: list[Fault] = []
    assert (read_record({**GRANT, **given}, {"offers"}, NOW, UTC, faults=faults) is None) is bool(faults)


# --- what it leads to ------------------------------------------------------------------------------------------


def standing(state: str, since: int = NOW, purpose: str = "offers") -> Standing:
    return Standing(purpose, State(state), since, None, b"e")


def led(held: str, event: str, *, at: int = NOW + 1, suppressed: bool = False) -> tuple[str | None, str, str]:
    standings = [] if held == "none" else [standing(held)]
    answer = after_record(standings, "offers", Event(event), at, suppressed=suppressed)
    return (str(answer.event) if answer.event else None, str(answer.state), answer.reason)


@pytest.mark.parametrize(
    ("held", "event", "entry", "state"),
    [
        ("none", "granted", "granted", "granted"),
        ("refused", "granted", "granted", "granted"),
        ("pending", "granted", "granted", "granted"),
        ("granted", "granted", "renewed", "granted"),
        ("none", "refused", "refused", "refused"),
        ("granted", "refused", "withdrawn", "withdrawn"),
        ("none", "withdrawn", "withdrawn", "withdrawn"),
        ("granted", "withdrawn", "withdrawn", "withdrawn"),
        ("withdrawn", "objected", "objected", "objected"),
        ("granted", "objected", "objected", "objected"),
    ],
)
def test_a_newer_record_counts(held: str, event: str, entry: str, state: str):
    assert led(held, event) == (entry, state, "")


@pytest.mark.parametrize("held", ["withdrawn", "objected", "voided"])
def test_a_grant_from_elsewhere_never_ends_what_only_the_customer_can_end(held: str):
    assert led(held, "granted", at=NOW + 1000 * DAY) == ("imported", held, "left")


def test_a_grant_from_elsewhere_never_ends_an_objection_to_everything_nor_a_suppression():
    answer = after_record([standing("objected", purpose="*")], "offers", Event.GRANTED, NOW + 1, suppressed=False)
    assert (answer.event, answer.state, answer.reason) == (Event.IMPORTED, State.NONE, "left")
    assert led("none", "granted", suppressed=True) == ("imported", "none", "left")


@pytest.mark.parametrize(
    ("held", "event"),
    [("granted", "withdrawn"), ("granted", "objected"), ("granted", "refused"), ("refused", "granted")],
)
def test_older_never_overwrites_newer(held: str, event: str):
    assert led(held, event, at=NOW - 1) == ("imported", held, "older")


def test_of_one_moment_the_one_that_leaves_counts():
    assert led("granted", "withdrawn", at=NOW)[1] == "withdrawn"
    assert led("withdrawn", "granted", at=NOW)[1] == "withdrawn"


@pytest.mark.parametrize(
    ("held", "event"),
    [("withdrawn", "withdrawn"), ("objected", "objected"), ("objected", "withdrawn"), ("refused", "refused")],
)
def test_what_is_known_already_is_no_entry(held: str, event: str):
    assert led(held, event)[0] is None


def test_leaving_everything_ends_what_was_held_by_then_and_objects_where_nothing_was():
    held = [standing("granted", NOW), standing("pending", NOW + 5, "news")]
    ended = after_record_of_all(held, Event.WITHDRAWN, NOW + 1)
    assert [(purpose, str(answer.state)) for purpose, answer in ended] == [("offers", "withdrawn")]
    assert after_record_of_all(held, Event.WITHDRAWN, NOW - 1) == ()
    assert [(p, str(a.state)) for p, a in after_record_of_all([], Event.WITHDRAWN, NOW)] == [("*", "objected")]
    assert after_record_of_all([standing("withdrawn")], Event.OBJECTED, NOW) == ()
