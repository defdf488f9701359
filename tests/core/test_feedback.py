"""One score, read as another system tells it."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest

from handraiser.core.feedback import Feedback, read_feedback
from handraiser.errors import Refused

NOW = 1_795_000_000_000
GOOD = {"id": "survey-1", "email": "Alice@Example.com", "score": 4}


def test_a_score_is_read_with_whose_it_is_and_when_it_was_given():
    assert read_feedback(GOOD, NOW, UTC) == Feedback("survey-1", "Alice@Example.com", "", 4, NOW)
    of_bob = {"id": "2", "customer_id": "b-1", "score": 1, "occurred_at": "2026-11-01T12:00:00+00:00"}
    assert read_feedback(of_bob, NOW, UTC) == Feedback("2", "", "b-1", 1, 1_793_534_400_000)


@pytest.mark.parametrize(
    ("changed", "pointers"),
    [
        ({"score": 0}, ["/score"]),
        ({"score": 6}, ["/score"]),
        ({"score": True}, ["/score"]),
        ({"score": "5"}, ["/score"]),
        ({"score": None}, ["/score"]),
        ({"id": ""}, ["/id"]),
        ({"id": 7}, ["/id"]),
        ({"id": "x" * 256}, ["/id"]),
        ({"email": "nobody"}, ["/email"]),
        ({"email": None}, ["/email"]),
        ({"occurred_at": "soon"}, ["/occurred_at"]),
        ({"comment": "nice"}, ["/comment"]),
        ({"id": None, "score": 9, "stars": 5}, ["/stars", "/id", "/score"]),
    ],
)
def test_every_fault_is_named(changed: dict[str, Any], pointers: list[str]):
    with pytest.raises(Refused) as refused:
        read_feedback(GOOD | changed, NOW, UTC)
    assert [fault.pointer for fault in refused.value.faults] == pointers


def test_what_is_no_object_is_refused():
    with pytest.raises(Refused):
        read_feedback(["survey-1", 4], NOW, UTC)
