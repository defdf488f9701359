"""What answers lead to in the ledger; on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from asked import LINKS, Asked, an_ask
from handraiser.answer import ASKS, Action, Answer, Told, Visit
from handraiser.core import consent
from handraiser.core.links import Link, LinkKind
from handraiser.core.market import MONTH_MS
from handraiser.core.person import Evidence
from handraiser.errors import NotFound, StoreUnavailable
from handraiser.store import clicks, ledger, ledger_entries, outbox, standings
from handraiser.store.database import Database
from handraiser.store.journal import Journal
from handraiser.store.messages import StoredMessage
from handraiser.store.writer import Writer
from rows import DAY, NOW, TENTS, an_id, of

CHROME = {
    "user-agent": "Mozilla/5.0 (X11) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36",
    "accept-language": "en",
    "sec-fetch-mode": "navigate",
    "sec-fetch-site": "same-origin",
    "sec-fetch-user": "?1",
}
NOTICE = b"n" * 32


def a_visit(method: str = "POST", *, trusted: bool = True, **headers: str | None) -> Visit:
    changed = CHROME | {name.replace("_", "-"): value for name, value in headers.items()}
    shown = {name: value for name, value in changed.items() if value is not None}
    return Visit("tents.localhost", Evidence(method, shown, trusted_event=trusted), "198.51.100.77")


A_SCRIPT = a_visit(trusted=False, sec_fetch_user=None)
A_SCANNER = a_visit(user_agent="Barracuda Sentinel", sec_fetch_user="?1")


@pytest.fixture
async def asked(database: Database, writer: Writer, tmp_path: Path) -> AsyncIterator[Asked]:
    made = Asked(database, writer, Journal(tmp_path / "withdrawals.journal"))
    await made.put()
    yield made
    await made.answer.close()


async def press(
    asked: Asked,
    message: StoredMessage,
    action: Action = Action.YES,
    visit: Visit | None = None,
    kind: LinkKind = LinkKind.OPT_IN,
    answer: Answer | None = None,
) -> Told:
    answer = answer or asked.answer
    visit = visit or a_visit()
    opened = await answer.open(asked.link(message, kind), visit, ASKS)
    return await answer.press(opened, visit, action, NOTICE)


async def leave(asked: Asked, message: StoredMessage) -> int:
    opened = await asked.answer.open(asked.link(message, LinkKind.WITHDRAW), a_visit(), frozenset({LinkKind.WITHDRAW}))
    return await asked.answer.leave(opened, one_click=True)


async def suppressed(asked: Asked, address: str = "alice@example.com") -> bool:
    return bool(await ledger.suppressions_of(asked.database, TENTS, of(address)))


async def test_a_persons_press_grants_with_everything_that_proves_it(asked):
    message = await asked.ask(order_id="1001")
    asked.clock.now += 60_000

    told = await press(asked, message)

    assert (told.outcome, told.since) == ("granted", NOW + 60_000)
    (entry,) = await asked.entries(message)
    assert (entry.event, entry.purpose, entry.channel, entry.basis) == ("granted", "tips", "email", "consent")
    assert (entry.message_id, entry.wording_id, entry.notice_id) == (
        message.id,
        bytes.fromhex(an_ask()["placements"][0]["wording_id"]),
        NOTICE,
    )
    assert (entry.jurisdiction, entry.rule_version, entry.touchpoint) == ("US", "1", "email:order_confirmation")
    assert (entry.method, entry.attestation, entry.verdict, entry.variant) == ("button", "trusted_event", "human", "a")
    assert (entry.link_kind, entry.promised_value_id, entry.actor) == (1, "tips@3", "subject")
    assert entry.source_order_ref is not None
    assert b"1001" not in entry.source_order_ref
    evidence = await ledger_entries.evidence_of(asked.database, TENTS, entry.event_id)
    assert evidence.content["network"] == "198.51.100.0/24"
    assert evidence.content["user-agent"] == CHROME["user-agent"]
    assert entry.evidence_commit == consent.evidence_commit(evidence.salt, evidence.content)
    assert asked.told == [("tents", "granted")]


async def test_a_grant_is_told_to_the_world_in_the_same_commit(asked):
    message = await asked.ask()

    await press(asked, message)

    (row,) = await outbox.recent(asked.database, TENTS)
    assert (row.event, row.carrier, row.payload["purpose"]) == ("consent.granted", "webhook", "tips")


@pytest.mark.parametrize("visit", [A_SCRIPT, A_SCANNER, a_visit(sec_purpose="prefetch")])
async def test_a_press_that_could_be_a_machines_only_waits_for_a_confirmation_mail(asked, visit):
    message = await asked.ask()

    told = await press(asked, message, visit=visit)

    assert told.outcome == "pending"
    assert await asked.states(message) == {"tips": "pending"}
    (mail,) = await outbox.recent(asked.database, TENTS, carrier="mail")
    confirmation = await asked.confirmation(message)
    assert (mail.id, confirmation.touchpoint) == (confirmation.id, "email:confirmation")


async def test_a_scanner_that_pressed_does_not_keep_the_person_out(asked):
    message = await asked.ask()
    await press(asked, message, visit=A_SCRIPT)

    told = await press(asked, message)

    assert told.outcome == "granted"
    assert await asked.events(message) == ["pending", "granted"]


async def test_the_confirmation_mails_press_grants(asked):
    message = await asked.ask(country="DE", market="DE")
    first = await press(asked, message)
    asked.clock.now += DAY

    again = await press(asked, message)
    mail = await asked.confirmation(message)
    by_script = await press(asked, mail, visit=A_SCRIPT, kind=LinkKind.CONFIRM)
    by_person = await press(asked, mail, kind=LinkKind.CONFIRM)

    assert (first.outcome, first.reason) == ("pending", "double_opt_in")
    assert (again.outcome, by_script.outcome, by_person.outcome) == ("pending", "pending", "granted")
    pending, granted = await asked.entries(message)
    assert (pending.event, granted.event, granted.touchpoint) == ("pending", "granted", "email:confirmation")
    assert granted.supersedes_seq == pending.seq
    assert len(await outbox.recent(asked.database, TENTS, carrier="mail")) == 1


async def test_several_countries_press_under_the_strictest_rule(asked):
    message = await asked.ask(market="DE+US")

    assert (await press(asked, message)).reason == "double_opt_in"


async def test_a_confirmation_after_seven_days_waits_anew(asked):
    message = await asked.ask(market="DE")
    await press(asked, message)
    asked.clock.now += 8 * DAY

    first = await asked.confirmation(message)
    assert (await press(asked, first, kind=LinkKind.CONFIRM)).outcome == "expired"
    told = await press(asked, first, Action.FRESH, kind=LinkKind.CONFIRM)

    assert (told.outcome, told.reason) == ("pending", "fresh")
    earlier = await press(asked, first, kind=LinkKind.CONFIRM)
    assert (earlier.outcome, earlier.reason) == ("pending", "newer_mail")
    assert (await press(asked, await asked.confirmation(message), kind=LinkKind.CONFIRM)).outcome == "granted"


async def test_a_confirmation_outlives_the_link_it_confirms(asked):
    message = await asked.ask(market="DE")
    asked.clock.now += 29 * DAY
    await press(asked, message)
    asked.clock.now += 3 * DAY

    assert (await press(asked, await asked.confirmation(message), kind=LinkKind.CONFIRM)).outcome == "granted"


async def test_what_nobody_confirms_in_seven_days_lapses_once_and_can_be_asked_for_again(asked):
    alices, bobs = await asked.ask(1, market="DE"), await asked.ask(2, "bob@example.com", market="DE")
    await press(asked, alices)
    asked.clock.now += DAY
    await press(asked, bobs)
    asked.clock.now += 6 * DAY + 1

    other = asked.another()
    ended = await asyncio.gather(asked.answer.lapse(), other.lapse(), asked.answer.lapse())
    await other.close()

    assert sum(ended) == 1
    assert await asked.events(alices) == ["pending", "lapsed"]
    assert await asked.states(bobs) == {"tips": "pending"}
    pending, lapsed = await asked.entries(alices)
    assert (lapsed.actor, lapsed.supersedes_seq, lapsed.wording_id) == ("system", pending.seq, pending.wording_id)
    assert lapsed.policy_snapshot_id == pending.policy_snapshot_id is not None
    assert "consent.lapsed" in [row.event for row in await outbox.recent(asked.database, TENTS)]
    assert (await press(asked, await asked.confirmation(alices), kind=LinkKind.CONFIRM)).outcome == "expired"
    assert (await press(asked, alices)).outcome == "pending"
    assert await asked.events(alices) == ["pending", "lapsed", "pending"]


async def test_a_grant_that_its_market_sets_an_end_lapses_then_and_can_be_given_again(asked):
    far, dutch = await asked.ask(1, market="BR"), await asked.ask(2, "bob@example.com")
    for message in (far, dutch):
        await press(asked, message)
    asked.clock.now += 1000
    await press(asked, await asked.confirmation(far), kind=LinkKind.CONFIRM)
    granted = (await asked.entries(far))[-1]
    assert granted.expires_at == asked.clock.now + 24 * MONTH_MS
    assert (await asked.entries(dutch))[-1].expires_at is None

    asked.clock.now = granted.expires_at
    assert await asked.answer.lapse() == 0
    asked.clock.now += 1
    other = asked.another()
    assert sum(await asyncio.gather(asked.answer.lapse(), other.lapse())) == 1
    await other.close()

    assert await asked.events(far) == ["pending", "granted", "lapsed"]
    assert [await asked.states(one) for one in (far, dutch)] == [{"tips": "lapsed"}, {"tips": "granted"}]
    assert "consent.lapsed" in [row.event for row in await outbox.recent(asked.database, TENTS)]
    async with asked.database.transaction() as tx:
        assert await standings.rebuild(tx, TENTS, [far.subject_id, dutch.subject_id]) == 0
    assert (await press(asked, await asked.ask(3, market="BR"))).outcome == "pending"


async def test_a_standing_made_anew_knows_when_its_grant_ends(asked):
    message = await asked.ask(1, market="BR")
    await press(asked, message)
    await press(asked, await asked.confirmation(message), kind=LinkKind.CONFIRM)
    async with asked.database.transaction() as tx:
        await tx.execute("UPDATE standing SET expires_at = NULL")
        assert await standings.rebuild(tx, TENTS, [message.subject_id]) == 1

    asked.clock.now += 24 * MONTH_MS + 1
    assert await asked.answer.lapse() == 1


async def test_where_the_market_wants_no_network_kept_evidence_holds_none(asked):
    message = await asked.ask(1, market="BR")
    await press(asked, message)
    (entry,) = await asked.entries(message)
    evidence = await ledger_entries.evidence_of(asked.database, TENTS, entry.event_id)
    assert "network" not in evidence.content
    assert evidence.content["user-agent"] == CHROME["user-agent"]


async def test_what_was_confirmed_or_left_does_not_lapse(asked):
    granted, left = await asked.ask(1, market="DE"), await asked.ask(2, "bob@example.com", market="DE")
    for message in (granted, left):
        await press(asked, message)
    asked.clock.now += 1000
    await press(asked, await asked.confirmation(granted), kind=LinkKind.CONFIRM)
    await leave(asked, left)
    asked.clock.now += 30 * DAY

    assert await asked.answer.lapse() == 0
    assert await asked.states(granted) == {"tips": "granted"}
    assert await asked.states(left) == {"tips": "withdrawn"}


async def test_a_second_press_says_since_when_and_writes_nothing(asked):
    message = await asked.ask()
    await press(asked, message)
    asked.clock.now += 40 * DAY

    told = await press(asked, message)

    assert (told.outcome, told.since) == ("already", NOW)
    assert await asked.events(message) == ["granted"]


async def test_ten_presses_at_once_on_two_processes_are_one_entry(asked):
    message = await asked.ask()
    other = asked.another()

    told = await asyncio.gather(*(press(asked, message, answer=one) for one in [asked.answer, other] * 5))

    assert {one.outcome for one in told} <= {"granted", "already"}
    assert await asked.events(message) == ["granted"]
    assert len(await outbox.recent(asked.database, TENTS)) == 1
    await other.close()


async def test_two_emails_pressed_at_once_are_one_entry(asked):
    first, second = await asked.ask(1), await asked.ask(2)

    await asyncio.gather(press(asked, first), press(asked, second))

    assert await asked.events(first) == ["granted"]


async def test_an_email_sent_meanwhile_does_not_cost_the_press(asked):
    message = await asked.ask()

    await asyncio.gather(press(asked, message), *(asked.ask(n) for n in range(2, 6)))

    assert await asked.states(message) == {"tips": "granted"}


async def test_purposes_are_apart(asked):
    tips, offers = await asked.ask(1), await asked.ask(2, decision=an_ask("offers"))

    await press(asked, tips)

    assert await asked.states(offers) == {"tips": "granted"}
    assert (await press(asked, offers)).outcome == "granted"


@pytest.mark.parametrize(
    ("action", "state", "for_good"), [(Action.NO, "refused", False), (Action.NEVER, "objected", True)]
)
async def test_no_is_refused_for_a_time_and_never_is_objected_for_good_and_each_is_once(asked, action, state, for_good):
    message = await asked.ask()

    told = [await press(asked, message, action, A_SCRIPT) for _ in range(3)]

    assert {one.outcome for one in told} == {state}
    assert await asked.events(message) == [state]
    assert await suppressed(asked) is for_good


async def test_who_said_no_may_still_say_never_or_yes(asked):
    alices, bobs = await asked.ask(1), await asked.ask(2, "bob@example.com")
    await press(asked, alices, Action.NO)
    await press(asked, bobs, Action.NO)

    assert (await press(asked, alices, Action.NEVER)).outcome == "objected"
    assert (await press(asked, bobs)).outcome == "granted"


@pytest.mark.parametrize("action", [Action.NO, Action.NEVER])
async def test_no_after_a_yes_withdraws_it(asked, action):
    message = await asked.ask()
    await press(asked, message)

    await press(asked, message, action)

    assert await asked.events(message) == ["granted", "withdrawn"]
    assert await suppressed(asked) is (action is Action.NEVER)


async def test_what_waits_is_not_forgotten_as_a_goodbye_when_it_ends(asked):
    message = await asked.ask()
    await press(asked, message)
    asked.clock.now += 1000
    await leave(asked, message)
    await press(asked, message)
    await press(asked, message, Action.NO)

    told = await press(asked, message)

    assert (told.outcome, told.reason) == ("pending", "after_withdrawal")
    assert await asked.events(message) == ["granted", "withdrawn", "pending", "refused", "pending"]


async def test_a_mailbox_gets_three_confirmation_mails_a_day_and_no_more(asked):
    message = await asked.ask(market="DE")
    outcomes = []
    for _ in range(5):
        outcomes.append((await press(asked, message)).outcome)
        await press(asked, message, Action.NO)

    assert outcomes == ["pending"] * 3 + ["too_often"] * 2
    assert len(await outbox.recent(asked.database, TENTS, carrier="mail")) == 3
    asked.clock.now += DAY
    assert (await press(asked, message)).outcome == "pending"


async def test_not_me_voids_a_strangers_yes_and_a_later_press_on_that_link_only_waits(asked):
    message = await asked.ask()
    await press(asked, message)
    asked.clock.now += 1000

    await press(asked, message, Action.NOT_ME)
    told = await press(asked, message)

    assert (told.outcome, told.reason) == ("pending", "after_withdrawal")
    assert await asked.events(message) == ["granted", "voided", "pending"]
    assert await suppressed(asked)


async def test_undo_takes_the_yes_back_and_bars_no_later_ask_by_itself(asked):
    message = await asked.ask()
    await press(asked, message)

    told = await press(asked, message, Action.UNDO)

    assert told.outcome == "withdrawn"
    assert await asked.events(message) == ["granted", "withdrawn"]
    assert not await suppressed(asked)


async def test_undo_without_a_yes_changes_nothing(asked):
    message = await asked.ask()

    assert (await press(asked, message, Action.UNDO)).outcome == "none"
    assert await asked.entries(message) == []


async def test_a_link_older_than_the_withdrawal_only_waits_and_a_newer_one_grants(asked):
    old = await asked.ask(1)
    await press(asked, old)
    asked.clock.now += DAY
    await leave(asked, old)
    asked.clock.now += DAY

    opened = await press(asked, old)
    newer = await asked.ask(2)
    granted = await press(asked, newer)

    assert (opened.outcome, opened.reason) == ("pending", "after_withdrawal")
    assert granted.outcome == "granted"
    assert await asked.events(old) == ["granted", "withdrawn", "pending", "granted"]


async def test_an_old_link_for_another_purpose_only_waits_too(asked):
    tips, offers = await asked.ask(1), await asked.ask(2, decision=an_ask("offers"))
    await press(asked, tips)
    await leave(asked, tips)

    assert (await press(asked, offers)).reason == "after_withdrawal"


async def test_a_confirmation_pressed_after_leaving_only_waits_anew(asked):
    message = await asked.ask(market="DE")
    await press(asked, message)
    await leave(asked, message)

    first = await asked.confirmation(message)
    asked.clock.now += 1000

    assert (await press(asked, first, kind=LinkKind.CONFIRM)).outcome == "expired"
    assert (await press(asked, first, Action.FRESH, kind=LinkKind.CONFIRM)).outcome == "pending"
    assert (await press(asked, first, kind=LinkKind.CONFIRM)).reason == "newer_mail"
    assert await asked.events(message) == ["pending", "withdrawn", "pending"]


async def test_leaving_withdraws_every_purpose_once_and_bars_asks(asked):
    tips, offers = await asked.ask(1), await asked.ask(2, decision=an_ask("offers"))
    await press(asked, tips)
    await press(asked, offers)

    for _ in range(5):
        await leave(asked, tips)

    assert await asked.states(tips) == {"tips": "withdrawn", "offers": "withdrawn"}
    assert len(await asked.entries(tips)) == 4
    assert await suppressed(asked)
    events = [row.event for row in await outbox.recent(asked.database, TENTS)]
    assert sorted(events) == ["consent.granted"] * 2 + ["consent.withdrawn"] * 2


async def test_leaving_without_a_yes_objects(asked):
    message = await asked.ask()

    await asyncio.gather(*(leave(asked, message) for _ in range(5)))

    assert await asked.events(message) == ["objected"]
    assert await asked.states(message) == {"*": "objected"}
    assert await suppressed(asked)


async def test_leaving_ten_years_later_works(asked):
    message = await asked.ask()
    await press(asked, message)
    asked.clock.now += 3653 * DAY

    await leave(asked, message)

    assert await asked.states(message) == {"tips": "withdrawn"}


async def test_leaving_wins_over_a_grant_at_the_same_moment(asked):
    message = await asked.ask()

    await asyncio.gather(press(asked, message), leave(asked, message), press(asked, message))

    assert "granted" not in (await asked.states(message)).values()


async def test_leaving_as_a_subject_nobody_knows_is_answered_alike(asked):
    ghost = replace(await asked.ask(), subject_id=an_id(777))

    assert await leave(asked, ghost) == NOW
    assert await asked.entries(ghost) == []


async def test_an_expired_link_grants_nothing_but_gets_a_person_a_fresh_one_by_mail(asked):
    message = await asked.ask()
    asked.clock.now += 31 * DAY

    yes = await press(asked, message)
    bot = await press(asked, message, Action.FRESH, visit=a_visit(sec_purpose="prefetch"))
    assert (yes.outcome, bot.outcome) == ("expired", "expired")
    assert await asked.entries(message) == []
    fresh = await press(asked, message, Action.FRESH)
    assert (fresh.outcome, fresh.reason) == ("pending", "fresh")
    assert (await press(asked, await asked.confirmation(message), kind=LinkKind.CONFIRM)).outcome == "granted"


async def test_an_expired_link_still_says_no(asked):
    message = await asked.ask()
    asked.clock.now += 31 * DAY

    assert (await press(asked, message, Action.NO)).outcome == "refused"
    assert (await press(asked, message, Action.NEVER)).outcome == "objected"


async def test_a_test_email_never_creates_a_consent(asked):
    message = await asked.ask(test=True)

    outcomes = [(await press(asked, message, action)).outcome for action in Action]

    assert outcomes == ["test"] * 6
    assert await asked.entries(message) == []
    assert not await suppressed(asked)


async def test_an_erased_subject_and_an_email_without_an_ask_are_not_found(asked):
    erased, silent = await asked.ask(1), await asked.ask(2, "bob@example.com", decision={})
    async with asked.database.transaction() as tx:
        await tx.execute(
            "UPDATE subject SET lookup = NULL, address = NULL, erased_at = $1 WHERE subject_id = $2",
            (NOW, erased.subject_id),
        )

    for message in (erased, silent):
        with pytest.raises(NotFound):
            await press(asked, message)
    await leave(asked, erased)
    assert await asked.entries(erased) == []


async def test_another_companys_link_finds_nothing(asked):
    message = await asked.ask()
    visit = replace(a_visit(), host="boats.localhost")
    opened = await asked.answer.open(LINKS.sign(Link(2, message.id, LinkKind.OPT_IN)), visit, ASKS)

    with pytest.raises(NotFound):
        await asked.answer.look(opened, visit)


async def test_every_visit_is_logged_with_its_verdict(asked):
    message = await asked.ask()
    verdicts: list[tuple[str, str]] = []
    asked.answer.visit_observers.append(lambda *told: verdicts.append(told))
    visit = a_visit("GET", user_agent="Slackbot-LinkExpanding 1.0")
    opened = await asked.answer.open(asked.link(message), visit, ASKS)

    await asked.answer.look(opened, visit)
    await asked.answer.close()

    (click,) = await clicks.of_message(asked.database, TENTS, message.id, message.subject_id)
    assert (click.method, click.verdict, click.kind) == ("GET", "bot", 1)
    assert "scanner_agent" in click.reasons
    assert b"198.51" not in (click.network_hash or b"")
    assert verdicts == [("tents", "bot")]
    assert await asked.entries(message) == []


async def test_while_the_database_is_gone_leaving_is_journalled_and_applied_when_it_is_back(
    asked, database_url, tmp_path
):
    message = await asked.ask()
    await press(asked, message)
    asked.clock.now += 1000
    await leave(asked, await asked.ask(9, "bob@example.com"))  # so that the shop is known
    await asked.database.close()

    at = await leave(asked, message)
    with pytest.raises(StoreUnavailable):
        await press(asked, message)
    assert asked.journal.oldest is not None

    asked.clock.now += 5000
    async with asked.reopened(database_url, tmp_path / "withdrawals.journal") as back:
        assert await back.answer.apply_journal() == 1
        assert await back.answer.apply_journal() == 0
        _, withdrawn = await back.entries(message)
        assert (withdrawn.event, withdrawn.occurred_at, withdrawn.recorded_at) == ("withdrawn", at, at + 5000)
        assert await suppressed(back)
        assert back.journal.oldest is None


async def test_no_and_undo_are_journalled_too_and_end_their_purpose_alone(asked, database_url, tmp_path):
    tips, offers = await asked.ask(1), await asked.ask(2, decision=an_ask("offers"))
    await press(asked, tips)
    await press(asked, offers)
    await asked.database.close()

    told = await press(asked, tips, Action.NO)

    assert (told.outcome, told.ask) == ("objected", None)
    async with asked.reopened(database_url, tmp_path / "withdrawals.journal") as back:
        await back.answer.apply_journal()
        assert await back.states(tips) == {"tips": "withdrawn", "offers": "granted"}


async def test_a_journal_applied_twice_does_not_undo_a_newer_yes(asked):
    message = await asked.ask(1)
    await press(asked, message)
    asked.clock.now += DAY
    opened = await asked.answer.open(asked.link(message, LinkKind.WITHDRAW), a_visit(), frozenset({LinkKind.WITHDRAW}))
    await asked.answer._leaving.keep(opened)
    (kept,) = asked.journal.pending()
    await asked.answer.apply_journal()
    asked.clock.now += DAY
    assert (await press(asked, await asked.ask(2))).outcome == "granted"

    asked.journal.append(kept)
    await asked.answer.apply_journal()

    assert await asked.states(message) == {"tips": "granted"}


async def test_when_the_journal_fails_too_leaving_says_so(asked, tmp_path):
    message = await asked.ask()
    await leave(asked, await asked.ask(9, "bob@example.com"))
    await asked.database.close()
    asked.answer._leaving._journal = Journal(tmp_path / "a file" / "journal")
    (tmp_path / "a file").write_text("in the way")

    with pytest.raises(StoreUnavailable):
        await leave(asked, message)
