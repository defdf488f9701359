"""e-BH over segments, against its definition."""

from __future__ import annotations

from math import exp, log

from hypothesis import given
from hypothesis import strategies as st

from handraiser.core.statistics.segments import discoveries

LOG_ES = st.dictionaries(st.sampled_from("abcdefghij"), st.floats(-20, 20))


@given(LOG_ES, st.sampled_from([0.01, 0.05, 0.2]))
def test_it_names_the_largest_set_whose_every_member_has_enough(log_es: dict[str, float], alpha: float):
    ranked = sorted(log_es.values(), reverse=True)
    sizes = [k for k in range(1, len(ranked) + 1) if k * exp(ranked[k - 1]) * alpha >= len(ranked) * (1 - 1e-12)]
    found = discoveries(log_es, alpha)
    assert len(found) == max(sizes, default=0)
    assert (
        min((log_es[one] for one in found), default=0)
        >= max((value for one, value in log_es.items() if one not in found), default=-99)
        or not found
    )


@given(LOG_ES, st.sampled_from("abcdefghij"))
def test_more_evidence_for_one_segment_never_hides_another(log_es: dict[str, float], chosen: str):
    more = {one: value + 3 * (one == chosen) for one, value in log_es.items()}
    assert discoveries(log_es) <= discoveries(more)


def test_one_of_ten_needs_ten_times_the_evidence_but_five_of_ten_only_twice():
    assert discoveries({n: log(150) * (n == 0) for n in range(10)}) == set()
    assert discoveries({n: log(201) * (n == 0) for n in range(10)}) == {0}
    assert discoveries({n: log(41) * (n < 5) for n in range(10)}) == set(range(5))


def test_of_no_segment_none_is_named():
    assert discoveries({}) == set()
