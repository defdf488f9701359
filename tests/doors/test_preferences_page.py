"""The preference centre over real sockets: less is always taken, more only from a person; on both databases."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from asked import LINKS, PROMISE, ROOT, Asked
from handraiser.core.links import Link, LinkKind
from handraiser.store import blocks, ledger, outbox, preferences
from handraiser.store.blocks import PurposeRow
from handraiser.store.messages import StoredMessage
from handraiser.template_files import read_starter
from rows import DAY, NOW, TENTS, an_id, of
from visiting import PRESS, Said

PURPOSES = {one.id: one for one in read_starter(ROOT)[1]}
TIPS = PURPOSES["tips"].texts["en"]
TOPICS = {f"topic-{one.id}": "on" for one in PURPOSES["tips"].topics}


@pytest.fixture(autouse=True)
async def purposes(asked: Asked) -> None:
    rows = [PurposeRow(TENTS, one.id, one.version, one.to_json(), NOW) for one in PURPOSES.values()]
    async with asked.database.transaction() as tx:
        await blocks.put_purposes(tx, rows)


def p(message: StoredMessage, at: int | None = NOW, shop: int = 1) -> str:
    """A preferences link of a message's reader, as a mail of the moment ``at`` holds it."""
    link = Link(shop, message.subject_id, LinkKind.PREFERENCES)
    return f"/p/{LINKS.sign(link) if at is None else LINKS.dated(link, at)}"


async def granted(asked: Asked, browser: Any, n: int = 1, **given: Any) -> StoredMessage:
    """Alice, who is signed up for tips."""
    message = await asked.ask(n, **given)
    await browser.press(f"/o/{asked.link(message)}")
    assert await asked.states(message) == {"tips": "granted"}
    return message


async def chosen(asked: Asked, message: StoredMessage) -> dict[str, Any]:
    held = await preferences.of_subject(asked.database, TENTS, message.subject_id)
    return {purpose: one.as_json() for purpose, one in held.chosen.items()}


async def paused_until(asked: Asked, message: StoredMessage) -> int:
    return (await preferences.of_subject(asked.database, TENTS, message.subject_id)).paused_until


def read(page: Said) -> str:
    """The page without the marks that keep a value from turning a sentence."""
    return page.body.replace("\u2068", "").replace("\u2069", "")


def buttons(page: Said) -> list[str]:
    return re.findall(r'name="action" value="([\w-]+)"', page.body)


def ticked(page: Said) -> list[str]:
    return re.findall(r'<input type="(?:checkbox|radio)" name="([\w-]+)" value="\w*" checked', page.body)


# --- what the page shows


async def test_everything_is_off_until_it_is_given_and_no_box_is_ticked_before(asked, browser):
    page = await browser.get(p(await asked.ask()))

    assert (page.status, page.title) == (200, "Your email settings")
    for said in (TIPS.what, TIPS.frequency, TIPS.benefit, "a•••@e…", "Tents &amp; Co", "email"):
        assert said in page.body
    assert "alice" not in page.body
    assert TIPS.benefit_now not in page.body
    assert buttons(page) == ["on", "on", "pause-1", "pause-3", "pause-6", "leave"]
    assert ticked(page) == []


async def test_what_was_given_is_shown_with_its_day_its_own_words_and_its_choices(asked, browser):
    page = await browser.get(p(await granted(asked, browser)))

    assert "On since September 21, 2026" in read(page)
    assert PROMISE.what in page.body
    assert ticked(page) == [*TOPICS, "frequency"]
    assert buttons(page) == ["on", "save", "off", "pause-1", "pause-3", "pause-6", "leave"]


@pytest.mark.parametrize(("locale", "title"), [("nl", "Uw e-mailinstellingen"), ("ar", "إعدادات رسائلك")])
async def test_it_speaks_the_emails_language(asked, browser, locale, title):
    page = await browser.get(p(await asked.ask(locale=locale)))

    assert page.title == title
    assert PURPOSES["tips"].texts[locale].button in page.body


async def test_the_way_there_stands_on_the_granted_the_already_and_the_leaving_page(asked, browser):
    message = await asked.ask()
    link = f"/o/{asked.link(message)}"
    pages = [await browser.press(link), await browser.get(link)]
    leaving = await browser.get(f"/u/{asked.link(message, LinkKind.WITHDRAW)}")

    assert all(f'href="{p(message, message.sent_at)}"' in page.body for page in pages)
    assert f'href="{p(message, None)}"' in leaving.body
    assert buttons(leaving) == ["leave"]


async def test_opening_it_a_hundred_times_changes_nothing(asked, browser):
    message = await granted(asked, browser)
    query = "&action=leave&purpose=tips"

    for n in range(100):
        said = await browser.send("HEAD" if n % 2 else "GET", p(message) + (query if n % 3 else ""))
        assert said.status == 200

    assert await asked.events(message) == ["granted"]


async def test_it_is_locked_down_like_every_page(asked, browser):
    said = await browser.get(p(await asked.ask()))

    policy = re.sub(r" 'nonce-[\w-]+'", "", said.headers["Content-Security-Policy"])
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action")
    assert said.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in said.headers


# --- yes to a purpose


async def test_a_person_turns_a_purpose_on_and_gets_what_was_promised(asked, browser):
    message = await asked.ask()

    page = await browser.press(p(message), "on", {"purpose": "tips"})

    assert "Done: you are signed up." in page.body
    assert TIPS.benefit_now in page.body
    assert await asked.states(message) == {"tips": "granted"}
    (entry,) = await asked.entries(message)
    assert (entry.touchpoint, entry.link_kind, entry.message_id) == ("web:preferences", 6, None)
    assert (entry.attestation, entry.verdict, entry.notice_id is not None) == ("trusted_event", "human", True)
    again = await browser.press(p(message), "on", {"purpose": "tips"})
    assert "Nothing had to be changed." in again.body
    assert await asked.events(message) == ["granted"]


async def test_what_was_pressed_on_is_kept_word_for_word(asked, browser):
    message = await asked.ask()
    await browser.press(p(message), "on", {"purpose": "offers"})

    (entry,) = await asked.entries(message)
    (shown,) = await asked.database.fetch("SELECT content FROM wording WHERE wording_id = $1", (entry.wording_id,))
    assert PURPOSES["offers"].texts["en"].button in shown["content"]
    assert entry.promised_value_id == "offers@1"


async def test_where_the_country_wants_a_second_step_a_mail_is_sent_and_its_press_grants(asked, browser):
    message = await asked.ask(market="DE")

    page = await browser.press(p(message), "on", {"purpose": "tips"})

    assert "Nothing starts until you press there." in page.body
    assert await asked.states(message) == {"tips": "pending"}
    confirm = f"/o/{asked.link(await asked.confirmation(message), LinkKind.CONFIRM)}"
    assert (await browser.press(confirm)).title == "Done: you are signed up"
    assert await asked.states(message) == {"tips": "granted"}


async def test_a_scripts_press_only_makes_it_wait(asked, browser):
    message = await asked.ask()

    await browser.press(p(message), "on", {"purpose": "tips"}, trusted=False, Sec_Fetch_User=None)

    assert await asked.states(message) == {"tips": "pending"}


@pytest.mark.parametrize("wish", ["on", "resume", "link"])
async def test_without_our_own_page_nothing_more_is_given(asked, browser, wish):
    message = await asked.ask()
    await browser.press(p(message), "pause-1")
    page = await browser.get(p(message))
    fields = {"purpose": "tips", "action": wish}
    forged = fields | {"nonce": page.field("nonce")[:-1] + "x", "notice": page.field("notice")}

    bare = await browser.send("POST", p(message), fields, Sec_Fetch_Site="same-origin")
    wrong = await browser.send("POST", p(message), forged, Sec_Fetch_Site="same-origin")
    elsewhere = await browser.press(p(message), wish, fields, page=page, Origin="https://evil.example")
    asked.clock.now += 61 * 60_000
    late = await browser.press(p(message), wish, fields, page=page)

    assert [bare.status, wrong.status, elsewhere.status, late.status] == [200, 200, 403, 200]
    assert "Please press again." in late.body
    assert await asked.events(message) == ["paused"]
    assert [row.event for row in await outbox.recent(asked.database, TENTS)] == ["consent.paused"]


async def test_after_leaving_the_same_link_only_leads_to_a_second_step(asked, browser):
    message = await granted(asked, browser)
    asked.clock.now += 1
    await browser.press(p(message), "off", {"purpose": "tips"})

    page = await browser.press(p(message), "on", {"purpose": "tips"})

    assert "we ask once more to be sure" in page.body
    assert await asked.states(message) == {"tips": "pending"}


# --- less: off, fewer, rarer, a break, nothing


async def test_one_purpose_off_is_that_one_alone_and_says_nothing_of_asking(asked, browser):
    message = await granted(asked, browser)
    await browser.press(p(message), "on", {"purpose": "offers"})

    page = await browser.send("POST", p(message, None), {"action": "off", "purpose": "tips"})

    assert "Stopped: you get no more of these emails." in page.body
    assert await asked.states(message) == {"offers": "granted", "tips": "withdrawn"}
    assert await ledger.suppressions_of(asked.database, TENTS, of("alice@example.com")) == []
    await browser.send("POST", p(message), {"action": "off", "purpose": "tips"})
    assert await asked.events(message) == ["granted", "granted", "withdrawn"]


async def test_off_for_what_was_never_on_is_no_objection(asked, browser):
    message = await asked.ask()

    assert (await browser.send("POST", p(message), {"action": "off", "purpose": "tips"})).status == 200

    assert await asked.entries(message) == []


async def test_topics_and_frequency_are_kept_with_their_history(asked, browser):
    message = await granted(asked, browser)
    choice = {"purpose": "tips", "topic-care": "on", "frequency": "monthly"}

    for _ in range(2):
        page = await browser.press(p(message), "save", choice)
        assert ticked(page) == ["topic-care", "frequency"]
    assert await chosen(asked, message) == {"tips": {"topics": ["care"], "frequency": "monthly"}}
    await browser.press(p(message), "save", {"purpose": "tips", "frequency": "", **TOPICS})

    assert await chosen(asked, message) == {"tips": {"topics": None, "frequency": None}}
    assert await asked.events(message) == ["granted", "preferred", "preferred"]
    assert await asked.states(message) == {"tips": "granted"}
    told = [row.payload for row in await outbox.recent(asked.database, TENTS, "consent.preferred")]
    assert {"topics": ["care"], "frequency": "monthly"} in [one["preference"] for one in told]


async def test_fewer_is_taken_from_any_page_more_is_not(asked, browser):
    message = await granted(asked, browser)
    fewer = {"action": "save", "purpose": "tips", "topic-use": "on", "topic-care": "on", "frequency": "monthly"}
    other = {"action": "save", "purpose": "tips", "topic-care": "on", "topic-repair": "on", "frequency": ""}

    less = await browser.send("POST", p(message, None), fewer, User_Agent="curl/8")
    part = await browser.send("POST", p(message), other)
    wish = {**TOPICS, "action": "save", "purpose": "tips"}
    more = await browser.send("POST", p(message), wish, Sec_Fetch_Site="same-origin")

    assert "Your choice is saved." in less.body
    assert "What makes it less is saved." in part.body
    assert "Please press again." in more.body
    assert await chosen(asked, message) == {"tips": {"topics": ["care"], "frequency": "monthly"}}
    assert await asked.events(message) == ["granted", "preferred", "preferred"]


async def test_who_ticks_nothing_stops(asked, browser):
    message = await granted(asked, browser)

    page = await browser.send("POST", p(message), {"action": "save", "purpose": "tips", "frequency": ""})

    assert "Stopped: you get no more of these emails." in page.body
    assert await asked.states(message) == {"tips": "withdrawn"}


async def test_a_break_is_taken_from_any_link_shown_and_ended_by_a_person(asked, browser):
    message = await granted(asked, browser)

    for _ in range(2):
        page = await browser.send("POST", p(message, None), {"action": "pause-3"}, User_Agent="Java/21")
    assert "You take a break until December 22, 2026." in read(page)
    shorter = await browser.press(p(message), "pause-1")
    assert "Nothing had to be changed." in shorter.body
    assert buttons(shorter) == ["on", "save", "off", "resume", "leave"]
    assert await paused_until(asked, message) > asked.clock.now + 91 * DAY

    assert "The break is over." in (await browser.press(p(message), "resume")).body

    assert await paused_until(asked, message) == 0
    assert await asked.events(message) == ["granted", "paused", "resumed"]
    assert await asked.states(message) == {"tips": "granted"}


@pytest.mark.parametrize("body", [b"", b"List-Unsubscribe=One-Click", b"action=leave"])
async def test_leaving_altogether_needs_the_link_alone_however_old(asked, browser, body):
    message = await granted(asked, browser)
    asked.clock.now += 3653 * DAY

    said = await browser.send("POST", p(message, None), body, User_Agent="Go-http-client/2.0", Origin="null")

    assert (said.status, said.title) == (200, "You are unsubscribed")
    assert "Location" not in said.headers
    assert await asked.states(message) == {"tips": "withdrawn"}
    (barred,) = await ledger.suppressions_of(asked.database, TENTS, of("alice@example.com"))
    assert barred.reason == "left"


async def test_who_left_altogether_by_mistake_takes_it_back_and_what_was_turned_off_before_stays_off(asked, browser):
    message = await granted(asked, browser)
    await browser.press(p(message), "on", {"purpose": "offers"})
    await browser.press(p(message), "off", {"purpose": "tips"})
    asked.clock.now += 60_000
    left = await browser.press(p(message), "leave")
    by_script = await browser.press(p(message), "undo", page=left, trusted=False, Sec_Fetch_User=None)
    assert await asked.states(message) == {"offers": "withdrawn", "tips": "withdrawn"}

    back = await browser.press(p(message), "undo", page=left)

    assert (by_script.title, back.title) == (
        "Not yet: please press once more",
        "Taken back: you are signed up as before",
    )
    assert await asked.states(message) == {"offers": "granted", "tips": "withdrawn"}
    assert await ledger.suppressions_of(asked.database, TENTS, of("alice@example.com")) == []
    assert buttons(back) == ["leave"]


@pytest.mark.parametrize(
    "body", [b"\xff\x00", b"action=dance", b"action=pause-99", b"x" * 5000, b"action=on&action=on"]
)
async def test_what_names_nothing_on_the_page_changes_nothing(asked, browser, body):
    message = await granted(asked, browser)

    assert (await browser.send("POST", p(message), body)).status == 200

    assert await asked.events(message) == ["granted"]


# --- old links


@pytest.mark.parametrize("at", [None, NOW - 30 * DAY - 1], ids=["of no mail", "older than thirty days"])
async def test_an_old_link_stops_and_lessens_and_gives_nothing(asked, browser, at):
    message = await granted(asked, browser)
    await browser.press(p(message), "pause-6")
    page = await browser.get(p(message, at))

    assert "This link is old" in page.body
    assert buttons(page) == ["link", "save", "off", "leave"]
    for wish in ("on", "resume"):
        said = await browser.press(p(message, at), wish, {"purpose": "offers"}, page=page)
        assert "This link is too old for that." in said.body
    assert await asked.events(message) == ["granted", "paused"]
    await browser.press(p(message, at), "save", {"purpose": "tips", "topic-use": "on"}, page=page)
    assert (await chosen(asked, message))["tips"]["topics"] == ["use"]
    await browser.press(p(message, at), "off", {"purpose": "tips"}, page=page)
    assert await asked.states(message) == {"tips": "withdrawn"}


async def test_a_fresh_link_goes_to_the_address_on_file_three_times_a_day(asked, browser):
    message = await asked.ask()

    pages = [await browser.press(p(message, None), "link") for _ in range(4)]

    assert ["We sent a fresh link to" in page.body for page in pages] == [True, True, True, False]
    assert "now no other one leaves" in pages[3].body
    letters = await outbox.recent(asked.database, TENTS, "preferences.mail")
    assert [(row.carrier, row.subject_id) for row in letters] == [("mail", message.subject_id)] * 3
    assert await asked.entries(message) == []
    asked.clock.now += DAY + 1
    assert "We sent" in (await browser.press(p(message, None), "link")).body


async def test_a_machine_causes_no_letter(asked, browser):
    message = await asked.ask()

    await browser.press(p(message, None), "link", User_Agent="curl/8")

    assert await outbox.recent(asked.database, TENTS) == []


# --- outage


async def test_in_an_outage_stopping_and_leaving_are_kept_and_applied_and_all_else_is_honestly_refused(
    asked, browser, database_url, tmp_path
):
    message = await granted(asked, browser)
    await browser.press(p(message), "on", {"purpose": "offers"})
    other = await granted(asked, browser, 2, address="bob@example.com")
    page = await browser.get(p(message))
    await asked.answer.close()
    await asked.database.close()

    shown = await browser.get(p(message))
    off = await browser.send("POST", p(message), {"action": "off", "purpose": "tips"})
    left = await browser.send("POST", p(other), b"")
    pause = await browser.press(p(message), "pause-3", page=page)

    assert (shown.status, buttons(shown)) == (503, ["leave"])
    assert (off.status, off.title) == (200, "Stopped: you are signed off")
    assert (left.status, left.title) == (200, "You are unsubscribed")
    assert (pause.status, pause.title) == (503, "Please try again in a minute")
    async with asked.reopened(database_url, tmp_path / "withdrawals.journal") as again:
        assert await again.answer.apply_journal() == 2
        assert await again.states(message) == {"offers": "granted", "tips": "withdrawn"}
        assert await again.states(other) == {"tips": "withdrawn"}
        assert await ledger.suppressions_of(again.database, TENTS, of("alice@example.com")) == []


# --- tokens


async def test_whatever_opens_no_page_answers_the_same_to_the_byte(asked, browser):
    message = await asked.ask()
    good = p(message)
    nobody = replace(message, subject_id=an_id(31337))
    ghost = await asked.ask(2, "bob@example.com")
    async with asked.database.transaction() as tx:
        await tx.execute(
            "UPDATE subject SET lookup = NULL, address = NULL, erased_at = $1 WHERE subject_id = $2",
            (NOW, ghost.subject_id),
        )
    bad = [
        p(nobody),
        p(ghost),
        p(message, shop=2),
        p(message, shop=9),
        "/p/",
        "/p/x",
        good[:-40],
        f"/p/{asked.link(message)}",
    ]
    bad.append(f"/p/{asked.link(message, LinkKind.WITHDRAW)}")

    answers = [await browser.get(one) for one in bad]
    answers += [await browser.send("POST", one, {"action": "on"}, **PRESS) for one in bad]
    answers += [await browser.get(good, Host="boats.localhost"), await browser.get("/o/x")]

    assert {answer.status for answer in answers} == {404}
    assert len({answer.body for answer in answers}) == 1


async def test_the_pages_of_an_erased_reader_still_leave_as_those_of_anybody(asked, browser):
    message = await asked.ask()
    nobody = replace(message, subject_id=an_id(31337))

    known, unknown = [await browser.send("POST", p(one), b"") for one in (message, nobody)]

    assert known.status == unknown.status == 200
    assert re.sub(r'nonce="[^"]*"', "", known.body) == re.sub(r'nonce="[^"]*"', "", unknown.body)
