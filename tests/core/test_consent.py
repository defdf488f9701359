"""Which answer leads to which state, whatever stood before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handraiser.core import consent
from handraiser.core.consent import ALL_PURPOSES, CONFIRM_LIFE_MS, STICKY, Entry, Event, Standing, State
from handraiser.core.links import LINK_LIFE_MS
from rows import NOW

states = st.sampled_from(State)
standing_lists = st.lists(
    st.builds(
        Standing,
        st.sampled_from(["tips", "offers", ALL_PURPOSES]),
        states,
        st.integers(NOW - 100, NOW),
        st.none() | st.integers(NOW - 200, NOW),
    ),
    max_size=3,
    unique_by=lambda one: one.purpose,
)


def yes(*standings: Standing, double: bool = False, **given):
    known = {"attested": True, "bot": False, "sent_at": NOW} | given
    return consent.after_yes(standings, "tips", double_opt_in=double, now=NOW, **known)


def confirm(*standings: Standing, attested: bool = True, bot: bool = False, sent_at: int = NOW):
    return consent.after_confirm(standings, "tips", attested=attested, bot=bot, sent_at=sent_at, now=NOW)


def test_a_persons_yes_grants():
    assert (yes().event, yes().state) == (Event.GRANTED, State.GRANTED)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"attested": False}, "not_attested"),
        ({"bot": True}, "bot"),
        ({"double": True}, "double_opt_in"),
        ({"unproven": True, "double": True}, "unproven_mailbox"),
    ],
)
def test_a_doubtful_yes_waits_once(given, reason):
    assert (yes(**given).event, yes(**given).reason) == (Event.PENDING, reason)
    again = yes(Standing("tips", State.PENDING, NOW), **given)
    assert (again.event, again.state, again.already) == (None, State.PENDING, True)


@given(standing_lists, st.booleans(), st.booleans(), st.integers(NOW - 200, NOW + 1), st.booleans(), st.booleans())
def test_nothing_is_granted_without_a_person_or_against_a_newer_goodbye(
    standings, attested, bot, sent_at, double, unproven
):
    answer = yes(*standings, attested=attested, bot=bot, sent_at=sent_at, double=double, unproven=unproven)

    if answer.event is Event.GRANTED:
        assert attested
        assert not bot
        assert not double
        assert not unproven
        assert all(one.since < sent_at for one in standings if one.state in STICKY)


@given(standing_lists, st.booleans(), st.booleans())
def test_a_confirmation_grants_only_what_waits_for_it(standings, attested, bot):
    answer = confirm(*standings, attested=attested, bot=bot)

    if answer.event is Event.GRANTED:
        assert attested
        assert not bot
        assert consent.of_purpose(standings, "tips").state is State.PENDING


def test_a_confirmation_has_seven_days():
    assert confirm(Standing("tips", State.PENDING, NOW - CONFIRM_LIFE_MS)).event is Event.GRANTED
    late = confirm(Standing("tips", State.PENDING, NOW - CONFIRM_LIFE_MS - 1))
    assert (late.event, late.reason) == (None, "not_waiting")


def test_what_is_granted_stays_granted():
    granted = Standing("tips", State.GRANTED, NOW - 9)

    assert yes(granted, attested=False).already
    assert confirm(granted, attested=False).already


@given(standing_lists)
def test_after_leaving_nothing_is_held_and_leaving_again_changes_nothing(standings):
    left = dict(consent.after_leaving(standings))
    after = [Standing(one.purpose, left[one.purpose].state, NOW) if one.purpose in left else one for one in standings]
    after += [
        Standing(name, answer.state, NOW) for name, answer in left.items() if name not in {s.purpose for s in after}
    ]

    assert not any(one.state in (State.GRANTED, State.PENDING) for one in after)
    assert any(one.state in consent.LEFT for one in after)
    assert consent.after_leaving(after) == ()


def test_a_late_goodbye_leaves_alone_what_a_newer_message_led_to():
    newer = Standing("tips", State.GRANTED, NOW, message_at=NOW - 5)
    older = Standing("offers", State.GRANTED, NOW, message_at=NOW - 50)

    assert [name for name, _ in consent.after_leaving([newer, older], NOW - 10, NOW)] == ["offers"]
    assert consent.after_leaving([newer], NOW - 10, NOW) == ()
    assert [name for name, _ in consent.after_leaving([], NOW - 10, NOW)] == [ALL_PURPOSES]


def test_a_goodbye_counts_when_the_clock_was_set_back_since_the_message():
    granted = Standing("tips", State.GRANTED, NOW + 50, message_at=NOW + 5)

    assert [name for name, _ in consent.after_leaving([granted], NOW - 10, NOW)] == ["tips"]


@pytest.mark.parametrize(
    ("before", "no", "never"),
    [
        ("granted", "withdrawn", "withdrawn"),
        ("pending", "refused", "objected"),
        ("none", "refused", "objected"),
        ("lapsed", "refused", "objected"),
        ("voided", "refused", "objected"),
        ("refused", "refused", "objected"),
        ("withdrawn", "withdrawn", "withdrawn"),
        ("objected", "objected", "objected"),
    ],
)
def test_no_and_never_withdraw_what_was_given_and_keep_the_rest_away(before, no, never):
    assert consent.after_no(Standing("tips", State(before))).state == no
    assert consent.after_never(Standing("tips", State(before))).state == never


def test_no_twice_is_once():
    assert consent.after_no(Standing("tips", State.REFUSED)).already
    assert consent.after_never(Standing("tips", State.OBJECTED)).already
    assert consent.after_not_me(Standing("tips", State.VOIDED)).already
    assert consent.after_undo(Standing("tips")).already


def test_a_confirmation_mail_of_an_earlier_wait_grants_nothing():
    waits = Standing("tips", State.PENDING, NOW - 5)

    assert (confirm(waits, sent_at=NOW - 6).event, confirm(waits, sent_at=NOW - 6).reason) == (None, "newer_mail")
    assert confirm(waits, sent_at=NOW - 5).event is Event.GRANTED


def test_a_goodbye_outlasts_the_standing_that_forgot_it():
    lapsed = Standing("tips", State.LAPSED, NOW - 1)

    answer = consent.after_yes(
        [lapsed], "tips", attested=True, bot=False, sent_at=NOW - 9, double_opt_in=False, now=NOW, left=NOW - 8
    )

    assert (answer.event, answer.reason) == (Event.PENDING, "after_withdrawal")


def test_a_fresh_link_is_a_new_wait_for_all_but_machines():
    refused = Standing("tips", State.REFUSED, NOW)

    assert consent.after_fresh(refused, bot=False, now=NOW).event is Event.PENDING
    assert consent.after_fresh(refused, bot=True, now=NOW) == consent.Answer(None, State.REFUSED, "bot")
    assert consent.after_fresh(Standing("tips", State.GRANTED), bot=False, now=NOW).already


@given(states)
def test_not_me_voids_whatever_was_said(state):
    assert consent.after_not_me(Standing("tips", state)).state is State.VOIDED


def test_a_link_lives_thirty_days():
    assert not consent.expired(NOW - LINK_LIFE_MS, NOW)
    assert consent.expired(NOW - LINK_LIFE_MS - 1, NOW)


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_only_the_same_parts_have_the_same_key(one, other):
    assert (consent.dedup_key(*one) == consent.dedup_key(*other)) == (one == other)


def test_evidence_commits_to_its_content_in_any_order():
    commit = consent.evidence_commit(b"s" * 16, {"a": 1, "b": "é"})

    assert commit == consent.evidence_commit(b"s" * 16, {"b": "é", "a": 1})
    assert commit != consent.evidence_commit(b"t" * 16, {"a": 1, "b": "é"})
    assert commit != consent.evidence_commit(b"s" * 16, {"a": 2, "b": "é"})


# --- what entries add up to

entry_lists = st.lists(
    st.builds(
        Entry,
        event_id=st.binary(min_size=16, max_size=16),
        controller_id=st.just(b"c" * 16),
        subject_id=st.just(b"s" * 16),
        purpose=st.sampled_from(["tips", "offers", ALL_PURPOSES]),
        channel=st.sampled_from(["email", "sms"]),
        event=st.sampled_from(Event),
        state=st.sampled_from(["", *State]),
        occurred_at=st.integers(NOW - 100, NOW),
        received_at=st.just(NOW),
        recorded_at=st.just(NOW),
        dedup_key=st.just(b""),
    ),
    max_size=8,
)


@given(entry_lists)
def test_a_standing_comes_from_the_last_entry_that_moved_it_since_the_last_erasure(entries: list[Entry]):
    erasures = [n for n, entry in enumerate(entries) if entry.event is Event.ERASED]
    counted = entries[erasures[-1] :] if erasures else entries
    expected = {}
    for purpose in ("tips", "offers", ALL_PURPOSES):
        for channel in ("email", "sms"):
            moved = [e for e in counted if (e.purpose, e.channel) == (purpose, channel) and e.state]
            if moved:
                expected[purpose, channel] = moved[-1]
    assert consent.folded(entries) == expected


@given(entry_lists, entry_lists)
def test_a_fold_goes_on_from_where_it_ended(first: list[Entry], rest: list[Entry]):
    if any(entry.event is Event.ERASED for entry in rest):
        assert consent.folded([*first, *rest]) == consent.folded(rest)
    else:
        assert consent.folded([*first, *rest]) == consent.folded(first) | consent.folded(rest)
