"""The same subject gets the same arm: here, on every replica, in a GrowthBook SDK; raising coverage moves nobody."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from growthbook.core import chooseVariation, gbhash, getBucketRanges
from hypothesis import given
from hypothesis import strategies as st

from handraiser.core.assignment import HELD_OUT, WHOLE, Draw, Weights, bucket, drawn, holdout

ALICE, BOB = "alice-1001", "bob-17"
TEXT = st.text(st.characters(), max_size=30)
"""Any characters, lone surrogates and those beyond the basic plane among them."""


@st.composite
def weights(draw: st.DrawFn, arms: int | None = None) -> Weights:
    cuts = draw(st.lists(st.integers(0, WHOLE), min_size=(arms or 2) - 1, max_size=(arms or 6) - 1))
    edges = [0, *sorted(cuts), WHOLE]
    parts = tuple(high - low for low, high in pairwise(edges))
    return Weights(1, parts, draw(st.integers(0, WHOLE)))


def test_a_hundred_thousand_random_subjects_get_what_the_growthbook_sdk_says():
    random = Random(5)
    alphabet = "abcXYZ0189-_ äßж中\u0641\U0001f600\U0001d11e\ud800"
    texts = ["".join(random.choices(alphabet, k=random.randrange(12))) for _ in range(2_000)]
    splits = [
        (mine, getBucketRanges(len(parts), coverage / WHOLE, [part / WHOLE for part in parts]))
        for parts in [(5_000, 5_000), (9_000, 1_000), (1_000, 2_000, 7_000), (3_333, 3_333, 3_334)]
        for coverage in [WHOLE, 5_000, 1_234, 0]
        for mine in [Weights(1, parts, coverage)]
    ]
    for _ in range(100_000):
        seed, subject = random.choice(texts), random.choice(texts)
        mine, ranges = random.choice(splits)
        draw = drawn(subject, seed, mine)
        assert (draw.arm if draw else -1) == chooseVariation(gbhash(seed, subject, 2), ranges)


@given(TEXT, TEXT, weights())
def test_any_text_and_any_weights_agree_with_the_growthbook_sdk(seed: str, subject: str, mine: Weights):
    ranges = getBucketRanges(len(mine.parts), mine.coverage / WHOLE, [part / WHOLE for part in mine.parts])
    draw, hashed = drawn(subject, seed, mine), gbhash(seed, subject, 2)
    assert bucket(seed, subject) / WHOLE == hashed
    assert (draw.arm if draw else -1) == chooseVariation(hashed, ranges)


@pytest.mark.parametrize(
    ("seed", "subject", "expected"),
    [
        ("seed", "a", 505),
        ("seed", "b", 2696),
        ("foo", "ab", 2575),
        ("foo", "def", 2019),
        ("89123klj", "8952klfjas09ujkasdf", 1240),
        ("90850943850283058242805", "123", 7516),
        ("()**(%$##$%#$#", '___)((*":&', 128),
    ],
)
def test_the_hash_is_that_of_the_published_cases(seed: str, subject: str, expected: int):
    assert bucket(seed, subject) == expected


@given(TEXT, TEXT, weights(), st.integers(0, WHOLE))
def test_raising_coverage_moves_nobody(seed: str, subject: str, before: Weights, coverage: int):
    after = before.followed_by(before.parts, max(before.coverage, coverage))
    draw = drawn(subject, seed, before)
    if draw:
        raised = drawn(subject, seed, after)
        assert raised is not None
        assert raised.arm == draw.arm


@given(TEXT, TEXT, weights(arms=2))
def test_full_coverage_leaves_nobody_out(seed: str, subject: str, some: Weights):
    assert drawn(subject, seed, some.followed_by(some.parts, WHOLE)) is not None


def test_what_was_first_seen_stays_whatever_the_weights_become():
    first = Weights(1, (5_000, 5_000))
    stored = drawn(ALICE, "seed", first)
    assert stored is not None
    only_the_other = first.followed_by((WHOLE, 0) if stored.arm else (0, WHOLE), 0)
    assert drawn(ALICE, "seed", only_the_other, stored) == stored == Draw(stored.arm, 1)
    assert drawn(ALICE, "seed", only_the_other) is None


def test_subjects_are_spread_as_the_weights_say_and_apart_in_every_experiment():
    some = Weights(1, (9_000, 1_000))
    arms = [
        [draw.arm for n in range(20_000) if (draw := drawn(f"customer-{n}", seed, some))] for seed in ("one", "two")
    ]
    both = sum(one and two for one, two in zip(*arms, strict=True))
    assert [len(one) for one in arms] == [20_000, 20_000]
    assert all(abs(sum(one) - 2_000) < 4 * 42 for one in arms)
    assert abs(both - 200) < 4 * 14


def test_a_holdout_is_drawn_by_its_own_seed_and_grows_without_letting_anybody_back_in():
    small, large = holdout(1, 500), holdout(2, 1_000)
    customers = [f"customer-{n}" for n in range(2_000)]
    held = [
        {one for one in customers if drawn(one, "holdout", size) == Draw(HELD_OUT, size.version)}
        for size in (small, large)
    ]
    assert held[0] < held[1]
    assert 60 < len(held[0]) < 140
    assert drawn(BOB, "holdout", holdout(1, WHOLE)) == Draw(HELD_OUT, 1)


@given(weights())
def test_a_share_is_that_of_one_arm_in_its_pair_with_the_control(some: Weights):
    for arm in range(1, len(some.parts)):
        pair = some.parts[0] + some.parts[arm]
        assert some.share(arm) * pair == pytest.approx(some.parts[arm])


@pytest.mark.parametrize("parts", [(10_000,), (5_000, 4_999), (-1, 10_001), ()])
def test_weights_that_do_not_add_up_are_refused(parts: tuple[int, ...]):
    with pytest.raises(ValueError, match="sum to 10,000"):
        Weights(1, parts)


@pytest.mark.parametrize("coverage", [-1, 10_001])
def test_coverage_beyond_everybody_is_refused(coverage: int):
    with pytest.raises(ValueError, match="coverage is between"):
        Weights(1, (5_000, 5_000), coverage)


def test_an_experiment_keeps_its_arms():
    with pytest.raises(ValueError, match="keeps its arms"):
        Weights(1, (5_000, 5_000)).followed_by((3_000, 3_000, 4_000), WHOLE)
