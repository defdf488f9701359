"""How satisfied a customer was, as another system tells it: one score for one answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo

from handraiser.core.consent_record import read_moment, read_whose
from handraiser.core.value import dataclass
from handraiser.errors import Fault, Refused

LOWEST, HIGHEST = 1, 5
LOW = 2
"""Scores up to this one are those of unhappy customers: 1 and 2 of 5, as customer satisfaction (CSAT) is counted."""
_NAMES = frozenset({"id", "email", "customer_id", "score", "occurred_at"})
_ID_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Feedback:
    """One answer: ``id`` as its system names it, ``score`` from 1 (very unhappy) to 5, ``occurred_at`` ms UTC. Whose it
    is say ``email`` or ``customer_id``, "" where not given."""

    id: str
    email: str
    customer_id: str
    score: int
    occurred_at: int


def read_feedback(given: object, now: int, zone: tzinfo) -> Feedback:
    """Read one answer; a time that names no zone is in ``zone``, none at all is ``now`` (ms UTC).

    Raises :class:`Refused` with every fault.
    """
    if not isinstance(given, Mapping):
        raise Refused([Fault("", "wrong_type", "an object")])
    faults = [
        Fault(f"/{name}", "unknown_field", f"known are: {', '.join(sorted(_NAMES))}")
        for name in given
        if name not in _NAMES
    ]
    known = {name: value for name, value in given.items() if value is not None and value != ""}
    email, customer_id = read_whose(known, faults)
    told, score = known.get("id"), known.get("score")
    if not isinstance(told, str) or not told.isprintable() or len(told) > _ID_LENGTH:
        code = "missing" if told is None else "bad_value"
        faults.append(Fault("/id", code, f"what your system calls this answer: 1 to {_ID_LENGTH} printable characters"))
    if type(score) is not int or not LOWEST <= score <= HIGHEST:
        code = "missing" if score is None else "bad_value"
        faults.append(Fault("/score", code, f"a whole number from {LOWEST} (very unhappy) to {HIGHEST}"))
    at = read_moment(known.get("occurred_at"), now, zone, faults)
    if faults:
        raise Refused(faults)
    assert isinstance(told, str)
    assert isinstance(score, int)
    return Feedback(told, email, customer_id, score, now if at is None else at)
