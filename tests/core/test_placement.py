"""A decision is kept in its message's row and read back years later; callers see less than the row."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from handraiser.core.placement import Decision, Placement, Skip

ids = st.binary(min_size=16, max_size=16)
hashes = st.binary(min_size=32, max_size=32)
words = st.text(max_size=12)
placements = st.builds(
    Placement,
    slot=words,
    block=words,
    block_id=ids,
    version=st.integers(1, 10**6),
    variant=words,
    legal_class=st.sampled_from(["service", "ask"]),
    purpose=st.none() | words,
    wording_id=st.none() | hashes,
    program=hashes,
)
skips = st.builds(Skip, slot=words, block=words, reason=words, remedy=words)


@settings(max_examples=100)
@given(
    st.builds(
        Decision,
        template=words,
        page=hashes,
        placements=st.lists(placements, max_size=3).map(tuple),
        skipped=st.lists(skips, max_size=3).map(tuple),
        would_ask=st.booleans(),
    )
)
def test_a_decision_survives_being_stored(decision: Decision):
    assert Decision.from_json(json.loads(json.dumps(decision.to_json()))) == decision


def test_a_signed_link_is_told_to_the_caller_and_never_stored():
    ask = Placement(
        "ask", "welcome", b"b" * 16, 3, "a", "ask", "offers", b"w" * 32, b"p" * 32, url="https://x.example/o/token"
    )
    assert ask.as_json() == {
        "slot": "ask",
        "block": "welcome",
        "version": 3,
        "variant": "a",
        "purpose": "offers",
        "wording_id": "77" * 32,
        "url": "https://x.example/o/token",
    }
    assert "token" not in json.dumps(Decision("t", b"", (ask,)).to_json())


def test_a_service_message_tells_neither_purpose_nor_wording():
    service = Placement("service", "care", b"b" * 16, 1, "a", "service")
    assert service.as_json() == {"slot": "service", "block": "care", "version": 1, "variant": "a"}


def test_the_row_of_a_message_without_a_decision_is_read_as_an_empty_one():
    assert Decision.from_json({}) == Decision("", b"")
