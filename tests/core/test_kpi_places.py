"""What a customer counts as, by itself: in any order the same, and each case of a yes that came and went."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handraiser.core.consent import ALL_PURPOSES
from handraiser.core.kpi import ASKED, ELIGIBLE, SEEN, Bought, Customer, Exposed, Place, count, opt_in, see, tallied
from handraiser.core.kpi_report import Arms, Money, Question, Spent, lifetime, read_question, spans
from handraiser.core.outcome import DAY_MS, Said
from handraiser.core.statistics.absolute import half_width
from handraiser.errors import Refused

TEXTS = st.sampled_from(("", "a", "b"))
PLACES = st.builds(
    Place,
    stage=st.integers(0, 2),
    at=st.integers(0, 5),
    customer_kind=TEXTS,
    touchpoint=TEXTS,
    purchase_type=TEXTS,
    country=TEXTS,
    block=TEXTS,
    segments=st.lists(TEXTS, max_size=2).map(tuple),
    asks=st.integers(0, 1),
    would_have_asked=st.integers(0, 1),
    views=st.lists(st.integers(0, 3), max_size=1).map(tuple),
)
ROW = {"sent_at": DAY_MS, "customer_kind": "new", "touchpoint": "email:order_confirmation", "country": "US"}


def a_yes(event: str = "granted", day: float = 1, *, purpose: str = "tips", pressed: bool = True) -> Said:
    how = ("button", "sec_fetch_user") if pressed else ("import", "none")
    return Said(purpose, event, int(day * DAY_MS), *how, "subject")


@settings(max_examples=100)
@given(sent=st.lists(PLACES, min_size=1, max_size=6), data=st.data())
def test_in_whichever_order_and_steps_emails_come_to_be_known_the_customer_stands_at_the_same_place(
    sent: list[Place], data: st.DataObject
):
    shuffled = data.draw(st.permutations(sent))
    at = data.draw(st.integers(0, len(sent)))
    whole = see({}, [("s", one) for one in sent])
    in_steps = see(see({}, [("s", one) for one in shuffled[:at]]), [("s", one) for one in shuffled[at:]])
    assert whole == in_steps
    assert whole["s"].stage == max(one.stage for one in sent)
    assert whole["s"].at == min(one.at for one in sent if one.stage == whole["s"].stage)


@pytest.mark.parametrize(
    ("decision", "stage", "block"),
    [
        ({"placements": [{"block": "tips", "legal_class": "ask"}]}, ASKED, "tips"),
        ({"placements": [{"block": "care", "legal_class": "service"}]}, SEEN, ""),
        ({"skipped": [{"block": "tips", "reason": "holdout"}]}, ELIGIBLE, "tips"),
        ({"skipped": [{"block": "tips", "reason": "fill_failed"}]}, ELIGIBLE, "tips"),
        ({"skipped": [{"block": "care", "reason": "holdout"}]}, SEEN, ""),
        ({"skipped": [{"block": "tips", "reason": "market"}]}, SEEN, ""),
        ({"skipped": [{"block": "tips", "reason": "mode"}]}, SEEN, ""),
        ({"skipped": [{"block": "tips", "reason": "mode"}], "would_ask": True}, ELIGIBLE, "tips"),
    ],
)
def test_whoever_was_held_back_could_have_been_asked(decision: dict[str, Any], stage: int, block: str):
    place = Place.of(ROW, decision, {}, {"tips"})
    assert (place.stage, place.block) == (stage, block)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([a_yes()], (1, False, False)),
        ([a_yes(pressed=False)], None),
        ([a_yes(day=0)], (0, False, False)),
        ([a_yes(), a_yes("voided", 2)], None),
        ([a_yes(), a_yes("voided", 2, purpose=ALL_PURPOSES)], None),
        ([a_yes(), a_yes("withdrawn", 20)], (1, True, True)),
        ([a_yes(), a_yes("withdrawn", 31)], (1, True, True)),
        ([a_yes(), a_yes("withdrawn", 31.5)], (1, False, True)),
        ([a_yes(), a_yes("objected", 40, purpose=ALL_PURPOSES)], (1, False, True)),
        ([a_yes(), a_yes("withdrawn", 5), a_yes("granted", 6)], (1, False, False)),
        ([a_yes(), a_yes("withdrawn", 5, purpose="offers")], (1, False, False)),
        ([a_yes(day=3), a_yes(day=2, purpose="offers")], (2, False, False)),
    ],
)
def test_a_yes_counts_when_a_person_pressed_it_and_is_looked_at_after_30_and_90_days(
    said: list[Said], expected: tuple[int, bool, bool] | None
):
    found = opt_in(0, said)
    assert (found and tuple(found)) == expected


def test_a_yes_from_before_the_first_ask_is_none_of_its_own():
    assert opt_in(2 * DAY_MS, [a_yes()]) is None


def test_what_is_kept_comes_back_the_same_and_adds_the_same_to_the_tallies():
    place = Place(ASKED, DAY_MS, "new", "", "", "US", "tips", ("gold",), 1)
    bought = [Bought("s", 2 * DAY_MS, one, amount, "placed") for one, amount in (("EUR", -5), ("USD", 7), ("EUR", 30))]
    customer = count({"s": place}, [(a_yes(), "granted")], bought, [Exposed("s", "e", 1, 0, 0)])
    again = Customer.from_json(customer.to_json())
    assert again == customer
    rows = tallied(again)["lifetime_tally"]
    assert rows["s", "e", 1, 0, 0, "EUR", "USD"] == {"high": 0, "low": 175}
    assert rows["s", "s", 0, 1, 1, "", ""] == {"customers": 1, "orders": 3}


def test_squares_of_two_currencies_add_up_to_those_of_their_sum():
    rows = [
        Spent(b"e", 1, arm, *key, *counts)
        for arm, amounts in ((0, (0, 0)), (1, (200, 400)))
        for key, counts in (
            (("", ""), (2, 2, 0, 0, 0)),
            (("EUR", ""), (0, 0, amounts[0], 0, 0)),
            (("USD", ""), (0, 0, amounts[1], 0, 0)),
            (("EUR", "EUR"), (0, 0, 0, 0, amounts[0] ** 2)),
            (("EUR", "USD"), (0, 0, 0, 0, amounts[0] * amounts[1])),
            (("USD", "USD"), (0, 0, 0, 0, amounts[1] ** 2)),
        )
    ]
    money = Money.of("EUR", [("USD", "0.5")], set())
    (told,) = lifetime(rows, money, b"w", {b"e": Arms("k", "test", ("a", "b"))})["experiments"]
    assert told["arms"][1]["revenue"] == "4.00"
    # One of the two bought for 4.00 and the other for nothing: the variance between them is 80,000 square cents.
    (more,) = told["differences"]
    assert float(more["high"]) == pytest.approx(2 + half_width(200.0, 4) / 100, abs=0.01)
    assert more["revenue_per_customer_more"] == "2.00"


def test_months_are_cut_at_the_days_that_were_asked_for():
    question = read_question({"by": "month, block", "from": "2026-01-20", "to": "2026-03-02"}, by=True)
    assert question.names == ("block", "month")
    assert [(name, last - first + 1) for name, first, last in spans(question, 0, 99_999)] == [
        ("2026-01", 12),
        ("2026-02", 28),
        ("2026-03", 2),
    ]
    assert spans(Question(first=5), 1, 3) == []


def test_a_currency_must_be_chosen_where_there_are_several():
    with pytest.raises(Refused, match="EUR, USD"):
        Money.of("", [], {"USD", "EUR"})
    assert Money.of("", [], {"JPY"}).currency == "JPY"
