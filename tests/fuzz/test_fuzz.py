"""``make fuzz`` in short: hypothesis against the relay, and a few seconds of each target under the guided fuzzer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from guided import guided
from hypothesis import given, settings
from hypothesis import strategies as st
from targets import TARGETS, Check

RELAY = TARGETS["relay"]
WORDS = st.lists(st.sampled_from(RELAY.words) | st.binary(max_size=3), max_size=25).map(b"".join)


@pytest.fixture(scope="module")
def relay() -> Iterator[Check]:
    with RELAY.open() as check:
        yield check


@given(st.binary(min_size=2, max_size=2), WORDS)
@settings(deadline=None)
def test_whatever_a_client_says_it_knows_the_truth_and_others_are_served(relay: Check, how: bytes, said: bytes):
    relay(how + said)


@given(st.sampled_from(RELAY.seeds()), st.data())
@settings(deadline=None)
def test_a_session_with_something_changed_in_it_ends_in_the_truth(relay: Check, seed: bytes, data: st.DataObject):
    at = data.draw(st.integers(0, len(seed)))
    gone = data.draw(st.integers(0, 30))
    relay(seed[:at] + data.draw(WORDS) + seed[at + gone :])


@pytest.mark.parametrize(("name", "tries", "every"), [("html", 500, 5), ("mail", 500, 7), ("relay", 80, 2)])
def test_nothing_that_the_guided_fuzzer_tries_first_breaks_a_target(name: str, tries: int, every: int, tmp_path: Path):
    found = guided(name, tmp_path, f"-runs={tries}", every=every)

    assert found.fault == ""
    assert found.tried > 30
