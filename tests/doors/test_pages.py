"""The customer's pages over real sockets, against robots, forgers and people; on both databases."""

from __future__ import annotations

import asyncio
import base64
import re
from dataclasses import replace

import pytest

from asked import BOAT, LINKS, PROMISE, TENT, Asked
from handraiser.core.links import Link, LinkKind, Links, SigningKey
from handraiser.core.market import LOCKED_LINE
from handraiser.doors.page_frame import BODY_LIMIT
from handraiser.store import clicks, ledger
from handraiser.store.ledger import Suppression
from handraiser.store.messages import StoredMessage
from rows import DAY, NOW, TENTS, an_id, of
from visiting import PRESS, Browser, Said

SAFARI = {
    "User-Agent": "Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1",
    "Sec-Fetch-User": None,
}
STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)


def o(asked: Asked, message: StoredMessage, kind: LinkKind = LinkKind.OPT_IN) -> str:
    return f"/o/{asked.link(message, kind)}"


def u(asked: Asked, message: StoredMessage) -> str:
    return f"/u/{asked.link(message, LinkKind.WITHDRAW)}"


# --- what the page says


async def test_before_the_press_the_page_says_what_is_promised_to_whom_and_that_nothing_is_signed_up(asked, browser):
    page = await browser.get(o(asked, await asked.ask()))

    assert page.status == 200
    assert page.title == "You are not signed up yet"
    for said in (PROMISE.what, PROMISE.frequency, PROMISE.benefit, PROMISE.button, "a•••@e…", "Tents &amp; Co"):
        assert said in page.body
    for said in ("No thanks", "Don’t ask again", "Not you?", "Your order is not affected", "https://tents.example/p"):
        assert said in page.body
    assert "alice" not in page.body
    assert PROMISE.benefit_now not in page.body


@pytest.mark.parametrize(("market", "said"), [("NL", True), ("NL+US", True), ("US", False)])
async def test_where_an_ask_rests_on_a_soft_opt_in_the_page_says_the_locked_line(asked, browser, market, said):
    page = await browser.get(o(asked, await asked.ask(market=market)))

    assert (LOCKED_LINE in page.body) is said
    assert page.body.count("Don’t ask again") == 1  # the one press that objects


async def test_the_granted_page_gives_the_benefit_at_once_and_an_undo(asked, browser):
    message = await asked.ask()

    page = await browser.press(o(asked, message))

    assert (page.status, page.title) == (200, "Done: you are signed up")
    assert PROMISE.benefit_now in page.body
    undone = await browser.press(o(asked, message), "undo", page=page)
    assert undone.title == "Stopped: you are signed off"
    assert await asked.states(message) == {"tips": "withdrawn"}


async def test_the_page_that_was_served_is_in_the_entry_whatever_its_nonces(asked, browser):
    message = await asked.ask()
    first, second = await browser.get(o(asked, message)), await browser.get(o(asked, message))
    assert first.body == second.body.replace(second.field("nonce"), first.field("nonce")).replace(
        re.search(r'nonce="([^"]+)"', second.body)[1], re.search(r'nonce="([^"]+)"', first.body)[1]
    )

    await browser.press(o(asked, message), page=first)

    (entry,) = await asked.entries(message)
    assert entry.notice_id.hex() == bytes_of(first.field("notice")).hex()


async def test_a_second_visit_is_told_since_when_and_can_stop(asked, browser):
    message = await asked.ask()
    await browser.press(o(asked, message))
    asked.clock.now += 40 * DAY

    again = await browser.get(o(asked, message))

    assert (again.status, again.title) == (200, "You are already signed up")
    assert "September 21, 2026" in again.body
    assert (await browser.press(o(asked, message), "undo", page=again)).title == "Stopped: you are signed off"


@pytest.mark.parametrize(
    ("locale", "title", "direction"),
    [
        ("nl", "U bent nog niet aangemeld", "ltr"),
        ("de", "Sie sind noch nicht angemeldet", "ltr"),
        ("ar", "أنت غير مشترك بعد", "rtl"),
    ],
)
async def test_the_page_speaks_the_emails_language(asked, browser, locale, title, direction):
    page = await browser.get(o(asked, await asked.ask(locale=locale)))

    assert page.title == title
    assert f'<html lang="{locale}" dir="{direction}">' in page.body
    assert page.headers["Content-Language"] == locale


async def test_the_withdraw_page_speaks_the_emails_language_too(asked, browser):
    message = await asked.ask(locale="nl")

    assert "Afmelden" in (await browser.get(u(asked, message))).body
    assert "afgemeld" in (await browser.send("POST", u(asked, message))).body


async def test_after_a_never_the_page_says_so_and_an_old_link_leads_to_a_second_step(asked, browser):
    message = await asked.ask()

    said = await browser.press(o(asked, message), "never", trusted=False)
    later = await browser.get(o(asked, message))

    assert said.title == "All right: we will not ask you again"
    assert "you told us that you want no such emails" in later.body
    assert (await browser.press(o(asked, message), page=later)).title == "One step left: look in your inbox"


async def test_no_thanks_is_for_a_year_and_can_be_made_for_good_at_once(asked, browser):
    message = await asked.ask()

    page = await browser.press(o(asked, message), "no")

    assert page.title == "All right: no emails"
    assert "12 months" in page.body
    assert await asked.states(message) == {"tips": "refused"}
    assert (await browser.press(o(asked, message), "never", page=page)).title == "All right: we will not ask you again"
    assert await asked.states(message) == {"tips": "objected"}


async def test_the_mails_no_thanks_opens_the_page_with_the_no_first_and_records_nothing_itself(asked, browser):
    message = await asked.ask(market="DE")
    await browser.press(o(asked, message))
    link = o(asked, await asked.confirmation(message), LinkKind.CONFIRM)

    page = await browser.get(f"{link}?no")

    assert page.title == "You do not want this?"
    assert re.findall(r'name="action" value="(\w+)"', page.body) == ["no", "never", "yes"]
    assert await asked.states(message) == {"tips": "pending"}
    assert (await browser.press(link, "no", page=page)).title == "All right: no emails"
    assert await asked.states(message) == {"tips": "refused"}


async def test_who_waits_for_the_confirmation_mail_is_told_so_on_the_second_visit(asked, browser):
    message = await asked.ask(market="DE")
    first = await browser.press(o(asked, message))
    second = await browser.get(o(asked, message))

    for page in (first, second):
        assert page.title == "One step left: look in your inbox"
        assert "Nothing starts until you press there." in page.body
        assert "a•••@e…" in page.body
    assert 'value="yes"' not in second.body


async def test_who_a_scanner_made_wait_can_still_press_here(asked, browser):
    message = await asked.ask()
    await browser.press(o(asked, message), trusted=False, Sec_Fetch_User=None)

    page = await browser.get(o(asked, message))

    assert "One step is left" in page.body
    assert (await browser.press(o(asked, message), page=page)).title == "Done: you are signed up"


async def test_a_flooder_is_told_to_look_in_the_inbox(asked, browser):
    message = await asked.ask(market="DE")
    for _ in range(3):
        await browser.press(o(asked, message))
        await browser.press(o(asked, message), "no")

    page = await browser.press(o(asked, message))

    assert page.title == "Please look in your inbox"
    assert await asked.states(message) == {"tips": "refused"}


async def test_an_expired_link_gets_a_fresh_one_by_mail_and_still_says_no(asked, browser):
    message, other = await asked.ask(), await asked.ask(2, "bob@example.com")
    before = await browser.get(o(asked, message))
    asked.clock.now += 30 * DAY + 1

    page = await browser.get(o(asked, message))
    late = await browser.press(o(asked, message), page=before)
    again = await browser.press(o(asked, message), page=page)
    fresh = await browser.press(o(asked, message), "fresh", page=page)

    assert (before.status, page.status, again.status) == (200, 410, 410)
    assert late.status == 410
    assert page.title == "This link is too old: get a fresh one"
    assert (fresh.status, fresh.title) == (200, "One step left: look in your inbox")
    assert await asked.states(message) == {"tips": "pending"}
    link = o(asked, await asked.confirmation(message), LinkKind.CONFIRM)
    assert (await browser.press(link)).title == "Done: you are signed up"
    assert (await browser.press(o(asked, other), "no")).status == 200
    assert await asked.states(other) == {"tips": "refused"}


async def test_a_confirmation_mails_link_expires_after_seven_days_and_gets_a_fresh_one_too(asked, browser):
    message = await asked.ask(market="DE")
    await browser.press(o(asked, message))
    link = o(asked, await asked.confirmation(message), LinkKind.CONFIRM)
    asked.clock.now += 7 * DAY + 1

    page = await browser.get(link)

    assert (page.status, page.title) == (410, "This link is too old: get a fresh one")
    assert "It worked for 7 days." in page.body
    assert (await browser.press(link, "fresh", page=page)).title == "One step left: look in your inbox"
    newest = o(asked, await asked.confirmation(message), LinkKind.CONFIRM)
    assert newest != link
    assert (await browser.press(newest)).title == "Done: you are signed up"


async def test_a_test_email_says_that_nothing_is_recorded(asked, browser):
    message = await asked.ask(test=True)

    page = await browser.get(o(asked, message))

    assert "nothing you press here is recorded" in page.body
    assert (await browser.press(o(asked, message), page=page)).title == "This link is from a test email"
    assert await asked.entries(message) == []


# --- A: robots


async def test_a_hundred_visits_leave_no_entry_and_are_all_logged(asked, browser):
    message = await asked.ask()

    for n in range(25):
        await browser.send("GET" if n % 2 else "HEAD", o(asked, message))
    await asyncio.gather(*(browser.send("GET" if n % 2 else "HEAD", o(asked, message)) for n in range(75)))
    await asked.answer.close()

    assert await asked.entries(message) == []
    found = await clicks.of_message(asked.database, TENTS, message.id, message.subject_id)
    assert {(click.method, click.verdict) for click in found} == {("HEAD", "bot"), ("GET", "suspect")}
    assert len(found) == 100


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "PATCH", "DELETE"])
async def test_other_methods_are_refused(asked, browser, method):
    message = await asked.ask()

    assert (await browser.send(method, o(asked, message))).status == 405
    assert (await browser.send(method, u(asked, message))).status == 405
    assert await asked.entries(message) == []


async def test_a_script_that_presses_the_button_only_gets_a_confirmation_mail(asked, browser):
    message = await asked.ask()

    page = await browser.press(o(asked, message), trusted=False, Sec_Fetch_User=None)

    assert page.title == "One step left: look in your inbox"
    assert "a•••@e…" in page.body
    assert await asked.events(message) == ["pending"]


async def test_a_form_filling_crawler_without_javascript_only_gets_a_confirmation_mail(asked, browser):
    message = await asked.ask()
    bare = {"Sec_Fetch_Site": None, "Sec_Fetch_Mode": None, "Sec_Fetch_User": None, "Accept_Language": None}

    await browser.press(o(asked, message), trusted=False, User_Agent="Wapiti", Origin=None, **bare)

    assert await asked.events(message) == ["pending"]


@pytest.mark.parametrize("header", ["Sec-Purpose", "Purpose", "X-Moz", "X-Purpose"])
async def test_a_prefetch_is_a_bot_and_its_press_only_waits(asked, browser, header):
    message = await asked.ask()

    await browser.get(o(asked, message), **{header: "prefetch"})
    await browser.press(o(asked, message), **{header: "prefetch"})
    await asked.answer.close()

    assert await asked.events(message) == ["pending"]
    assert "bot" in {
        click.verdict for click in await clicks.of_message(asked.database, TENTS, message.id, message.subject_id)
    }


@pytest.mark.parametrize("bad", ["", "0.AAAAAAAAAAAAAAAAAAAAAA", "forged", "1f.AAAAAAAAAAAAAAAAAAAAAA"])
async def test_without_the_pages_own_nonce_the_page_comes_again_and_nothing_is_kept(asked, browser, bad):
    message = await asked.ask()
    form = {"action": "yes", "nonce": bad, "press": "trusted"}

    page = await browser.send("POST", o(asked, message), form, **PRESS)

    assert (page.status, page.title) == (200, "You are not signed up yet")
    assert "press again" in page.body
    assert await asked.entries(message) == []
    assert (await browser.press(o(asked, message), page=page)).title == "Done: you are signed up"


async def test_another_messages_nonce_and_an_old_one_are_none(asked, browser):
    message, other = await asked.ask(1), await asked.ask(2)
    page = await browser.get(o(asked, message))

    await browser.press(o(asked, other), page=page)
    asked.clock.now += 61 * 60_000
    await browser.press(o(asked, message), page=page)

    assert await asked.entries(message) == []


async def test_a_notice_that_was_not_served_is_none(asked, browser):
    message = await asked.ask()
    page = await browser.get(o(asked, message))
    form = {"action": "yes", "nonce": page.field("nonce"), "press": "trusted"}

    for notice in ("", "A" * 43, "not base64 €"):
        await browser.send("POST", o(asked, message), form | {"notice": notice}, **PRESS)

    assert await asked.entries(message) == []


async def test_fields_in_the_address_count_for_nothing(asked, browser):
    message = await asked.ask()
    page = await browser.get(f"{o(asked, message)}?action=yes&confirm=true&press=trusted")
    query = f"?action=yes&press=trusted&nonce={page.field('nonce')}&notice={page.field('notice')}"

    await browser.send("POST", o(asked, message) + query, {"x": "1"}, **PRESS)
    await browser.get(o(asked, message) + query, X_HTTP_Method_Override="POST")

    assert await asked.entries(message) == []


# --- B: people


@pytest.mark.parametrize(
    ("trusted", "headers"),
    [
        (True, {}),
        (False, {}),
        (True, SAFARI),
        (True, {"Sec-Fetch-Site": None, "Sec-Fetch-Mode": None, "Sec-Fetch-User": None, "Origin": None}),
    ],
    ids=["chrome", "chrome without scripts", "safari", "an old browser"],
)
async def test_a_person_gets_through(asked, browser, trusted, headers):
    message = await asked.ask()
    asked.clock.now += 15_000

    page = await browser.press(o(asked, message), trusted=trusted, **headers)

    assert page.title == "Done: you are signed up"
    assert await asked.events(message) == ["granted"]


async def test_a_person_gets_through_after_a_scanner(asked, browser):
    message = await asked.ask()
    for agent in ("Barracuda", "Slackbot-LinkExpanding 1.0", "curl/8"):
        await browser.get(o(asked, message), User_Agent=agent)

    await browser.press(o(asked, message))

    assert await asked.events(message) == ["granted"]


async def test_ten_presses_at_once_are_one_entry(asked, browser):
    message = await asked.ask()
    page = await browser.get(o(asked, message))

    answers = await asyncio.gather(*(browser.press(o(asked, message), page=page) for _ in range(10)))

    assert {answer.status for answer in answers} == {200}
    assert {answer.title for answer in answers} <= {"Done: you are signed up", "You are already signed up"}
    assert await asked.events(message) == ["granted"]


async def test_the_confirmation_mails_link_grants(asked, browser):
    message = await asked.ask(market="DE")
    await browser.press(o(asked, message))

    link = o(asked, await asked.confirmation(message), LinkKind.CONFIRM)
    page = await browser.get(link)
    script = await browser.press(link, page=page, trusted=False, Sec_Fetch_User=None)
    person = await browser.press(link, page=page)

    assert page.title == "One last press: you are not signed up yet"
    assert script.title == "Not yet: please press once more"
    assert person.title == "Done: you are signed up"


# --- C: leaving


ONE_CLICK = b"List-Unsubscribe=One-Click"
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("agent", "body", "content_type"),
    [
        *((agent, ONE_CLICK, FORM) for agent in ("Go-http-client/2.0", "Barracuda", "curl/8.1", "SafeLinks", None)),
        ("Go-http-client/2.0", b"", None),
        ("curl/8.1", b"{}", "application/json"),
        (None, b"\xff" * (BODY_LIMIT * 3), "multipart/form-data; boundary=x"),
    ],
)
async def test_mail_software_unsubscribes_whatever_it_sends(asked, browser, agent, body, content_type):
    message = await asked.ask()
    await browser.press(o(asked, message))
    asked.clock.now += 3653 * DAY
    bare = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": None, "Sec_Fetch_User": None, "Accept_Language": None}

    for _ in range(2):
        answer = await browser.send(
            "POST", u(asked, message), body, User_Agent=agent, Content_Type=content_type, **bare, Origin="null"
        )

    assert (answer.status, answer.title) == (200, "You are unsubscribed")
    assert not {"Location", "Set-Cookie"} & set(answer.headers)
    assert await asked.events(message) == ["granted", "withdrawn"]
    assert await ledger.suppressions_of(asked.database, TENTS, of("alice@example.com"))


async def test_opening_the_withdraw_page_changes_nothing_and_its_one_button_leaves(asked, browser):
    message = await asked.ask()
    await browser.press(o(asked, message))
    page = await browser.get(u(asked, message))
    await browser.send("HEAD", u(asked, message))
    assert await asked.events(message) == ["granted"]
    assert page.body.count("<button") == 1

    done = await browser.send("POST", u(asked, message), {"action": "leave"}, **PRESS)

    assert done.title == "You are unsubscribed"
    entry = (await asked.entries(message))[1]
    assert (entry.event, entry.method, entry.touchpoint) == ("withdrawn", "form", "withdraw_page")


async def test_one_click_is_told_apart_in_the_ledger(asked, browser):
    message = await asked.ask()

    await browser.send("POST", u(asked, message), b"List-Unsubscribe=One-Click")

    (entry,) = await asked.entries(message)
    assert (entry.event, entry.method, entry.touchpoint) == ("objected", "one_click", "list_unsubscribe")


async def left_by_mistake(asked: Asked, browser: Browser) -> tuple[StoredMessage, Said]:
    """Alice said yes and left with the withdraw page's button; what that page says."""
    message = await asked.ask()
    await browser.press(o(asked, message))
    return message, await browser.send("POST", u(asked, message), {"action": "leave"}, **PRESS)


async def test_who_left_by_mistake_takes_it_back_with_one_press_and_the_withdrawal_stays_in_the_ledger(asked, browser):
    message, page = await left_by_mistake(asked, browser)
    assert "Pressed by mistake?" in page.body

    for _ in range(2):
        done = await browser.press(u(asked, message), "undo", page=page)
        assert (done.status, done.title) == (200, "Taken back: you are signed up as before")

    gave, left, again = await asked.entries(message)
    assert (gave.event, left.event, again.event, again.state) == ("granted", "withdrawn", "granted", "granted")
    assert (again.supersedes_seq, again.wording_id, again.promised_value_id) == (
        left.seq,
        gave.wording_id,
        gave.promised_value_id,
    )
    assert (again.touchpoint, again.attestation, again.verdict_reasons[-1]) == (
        "withdraw_page",
        "trusted_event",
        "undo",
    )
    assert base64.urlsafe_b64encode(again.notice_id or b"").decode().rstrip("=") == page.field("notice")
    assert await asked.states(message) == {"tips": "granted"}
    assert await ledger.suppressions_of(asked.database, TENTS, of("alice@example.com")) == []
    rows = await asked.database.fetch("SELECT event FROM outbox ORDER BY created_at, outbox_id")
    assert [row["event"] for row in rows] == ["consent.granted", "consent.withdrawn", "consent.granted"]
    assert asked.told[-1] == ("tents", "granted")

    await browser.send("POST", u(asked, message), {"action": "leave"}, **PRESS)
    assert await asked.states(message) == {"tips": "withdrawn"}


@pytest.mark.parametrize(
    ("changed", "title"),
    [
        ({"trusted": False, "Sec_Fetch_User": None}, "Not yet: please press once more"),
        ({"User_Agent": "Slackbot-LinkExpanding 1.0"}, "Not yet: please press once more"),
        ({"Origin": "https://elsewhere.example"}, "Please press the button on our own page"),
        ({"Sec_Fetch_Site": "cross-site"}, "Please press the button on our own page"),
    ],
)
async def test_an_undo_that_is_no_persons_press_on_our_page_grants_nothing(asked, browser, changed, title):
    message, page = await left_by_mistake(asked, browser)

    said = await browser.press(u(asked, message), "undo", page=page, **changed)

    assert said.title == title
    assert await asked.events(message) == ["granted", "withdrawn"]
    assert await ledger.suppressions_of(asked.database, TENTS, of("alice@example.com"))


async def test_a_person_taken_for_a_script_presses_undo_once_more(asked, browser):
    message, page = await left_by_mistake(asked, browser)
    again = await browser.press(u(asked, message), "undo", page=page, trusted=False, Sec_Fetch_User=None)
    await browser.press(u(asked, message), "undo", page=again)
    assert await asked.states(message) == {"tips": "granted"}


async def test_without_its_own_pages_nonce_or_after_an_hour_nothing_is_taken_back(asked, browser):
    message, page = await left_by_mistake(asked, browser)
    bobs = await asked.ask(2, "bob@example.com")
    await browser.press(o(asked, bobs))
    other = await browser.send("POST", u(asked, bobs), {"action": "leave"}, **PRESS)

    stolen = await browser.press(u(asked, message), "undo", page=other)
    bare = await browser.send("POST", u(asked, message), {"action": "undo"}, **PRESS)
    asked.clock.now += 3_600_001
    late = await browser.press(u(asked, message), "undo", page=page)

    for said in (stolen, bare, late):
        assert said.title == "You are unsubscribed"
        assert "It was too long ago to be taken back." in said.body
        assert "<button" not in said.body
    assert await asked.states(message) == {"tips": "withdrawn"}


async def test_only_a_grant_that_this_page_ended_can_be_taken_back(asked, browser):
    never_asked = await asked.ask(1, "bob@example.com")
    objected = await browser.send("POST", u(asked, never_asked), {"action": "leave"}, **PRESS)
    message = await asked.ask(2)
    await browser.press(o(asked, message))
    by_program = await browser.send("POST", u(asked, message), ONE_CLICK, Content_Type=FORM)
    repeated = await browser.send("POST", u(asked, message), {"action": "leave"}, **PRESS)

    for said in (objected, by_program, repeated):
        assert "Undo" not in said.body
        assert not said.field("nonce")


async def test_an_older_wish_not_to_be_asked_survives_the_undo(asked, browser):
    before = Suppression(of("alice@example.com"), NOW - DAY, "never")
    message = await asked.ask()
    await browser.press(o(asked, message))
    await asked.writer.write(ledger.suppress, (TENTS, before))
    page = await browser.send("POST", u(asked, message), {"action": "leave"}, **PRESS)

    await browser.press(u(asked, message), "undo", page=page)

    assert await asked.states(message) == {"tips": "granted"}
    assert await ledger.suppressions_of(asked.database, TENTS, of("alice@example.com")) == [before]


async def test_an_unknown_or_erased_subject_gets_the_same_page(asked, browser):
    message = await asked.ask()
    ghost = replace(message, subject_id=an_id(777))

    known, unknown = [await browser.send("POST", u(asked, one)) for one in (message, ghost)]
    async with asked.database.transaction() as tx:
        await tx.execute("UPDATE subject SET lookup = NULL, address = NULL, erased_at = $1", (NOW,))
    erased = await browser.send("POST", u(asked, message))

    assert known.status == unknown.status == erased.status == 200
    assert without_nonces(known) == without_nonces(unknown) == without_nonces(erased)
    assert (await browser.get(o(asked, message))).status == 404


async def test_in_an_outage_leaving_works_and_a_yes_is_honestly_refused(asked, browser, tmp_path):
    message = await asked.ask()
    page = await browser.get(o(asked, message))
    await asked.answer.close()
    await asked.database.close()

    yes = await browser.press(o(asked, message), page=page)
    no = await browser.press(o(asked, message), "no", page=page)
    shown = await browser.get(u(asked, message))
    gone = await browser.send("POST", u(asked, message))
    look = await browser.get(o(asked, message))

    assert (yes.status, yes.title) == (503, "Your answer was not saved")
    assert "You are not signed up, and your order is safe." in yes.body
    assert "Your order is not affected" in yes.body
    assert (no.status, no.title) == (200, "All right: we will not ask you again")
    assert (shown.status, gone.status, gone.title) == (200, 200, "You are unsubscribed")
    assert (look.status, "Retry-After" in look.headers) == (503, True)
    assert len(asked.journal.pending()) == 2

    (tmp_path / "withdrawals.journal").unlink()
    (tmp_path / "withdrawals.journal").mkdir()
    full = await browser.send("POST", u(asked, message))
    assert (full.status, full.title, full.headers["Retry-After"]) == (503, "Please press once more", "30")


async def test_a_shop_never_seen_before_the_outage_can_be_left_too(asked, browser):
    message = await asked.ask()
    await asked.database.close()

    gone = await browser.send("POST", u(asked, message))

    assert (gone.status, gone.title) == (200, "You are unsubscribed")
    assert asked.journal.pending()[0].link.id == message.subject_id


# --- D: tokens


async def test_whatever_is_no_link_of_ours_answers_the_same_to_the_byte(asked, browser):
    message = await asked.ask()
    token, leave = asked.link(message), asked.link(message, LinkKind.WITHDRAW)
    unknown = LINKS.sign(Link(1, an_id(31337), LinkKind.OPT_IN))
    other_key = Links([SigningKey(1, b"x" * 32)]).sign(Link(1, message.id, LinkKind.OPT_IN))
    flipped = token[:-1] + ("A" if token[-1] != "A" else "B")
    no_shop = LINKS.sign(Link(9, message.id, LinkKind.OPT_IN))
    other_shop = LINKS.sign(Link(2, message.id, LinkKind.OPT_IN))
    bad = [
        unknown,
        other_key,
        flipped,
        no_shop,
        other_shop,
        leave,
        token + "=",
        token.upper(),
        "x",
        "%00",
        "%F0%9F%98%80",
    ]
    bad += ["", "A" * 5000, token + "/", token + "%0a"]

    answers = [await browser.get(f"/o/{one}") for one in bad]
    answers += [await browser.send("POST", f"/o/{one}", {"action": "yes"}, **PRESS) for one in bad]
    answers += [await browser.get(f"/u/{token}"), await browser.send("POST", f"/u/{token}")]
    answers += [await browser.get(f"/o/{token}", Host="boats.localhost"), await browser.get(f"/o/{token}", Host="x")]
    answers += [await browser.send("POST", f"/u/{leave}", Host="boats.localhost")]

    assert {answer.status for answer in answers} == {404}
    assert len({answer.body for answer in answers}) == 1
    assert len({frozenset(set(answer.headers) - {"Date"}) for answer in answers}) == 1
    assert answers[0].headers["Content-Security-Policy"] == STRICT
    assert await asked.entries(message) == []


async def test_a_host_with_the_schemes_own_port_is_the_same_host(asked, browser):
    token = asked.link(await asked.ask())

    assert (await browser.get(f"/o/{token}", Host="Tents.Localhost:80")).status == 200
    assert (await browser.get(f"/o/{token}", Host="tents.localhost:8080")).status == 404


# --- E: the web


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://tents.localhost"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": None, "Sec-Fetch-Site": "cross-site"},
        {"Origin": None, "Sec-Fetch-Site": "same-site"},
        {"Origin": None, "Sec-Fetch-Site": "none"},
        {"Origin": "http://boats.localhost", "Sec-Fetch-Site": None},
    ],
)
async def test_a_form_from_elsewhere_is_refused(asked, browser, headers):
    message = await asked.ask()

    page = await browser.press(o(asked, message), **headers)

    assert (page.status, page.title) == (403, "Please press the button on our own page")
    assert await asked.entries(message) == []


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x", None])
async def test_only_a_form_is_read(asked, browser, content_type):
    message = await asked.ask()

    answer = await browser.send("POST", o(asked, message), b'{"action":"yes"}', Content_Type=content_type, **PRESS)

    assert answer.status == 415
    assert await asked.entries(message) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"action=yes&x=" + b"y" * 100_000, 413),
        (b"&".join(b"a%d=1" % n for n in range(50)), 400),
        (b"action=yes&action=no", 400),
        (b"action=yes&x=%FF", 400),
        (b"\xff\xfe", 400),
        (b"action=give", 200),
        (b"", 200),
    ],
)
async def test_a_body_that_is_no_answer_is_none(asked, browser, body, status):
    message = await asked.ask()

    answer = await browser.send(
        "POST", o(asked, message), body, Content_Type="application/x-www-form-urlencoded", **PRESS
    )

    assert answer.status == status
    assert await asked.entries(message) == []


async def test_every_page_is_locked_down(asked, browser):
    message = await asked.ask()
    first, second = await browser.get(o(asked, message)), await browser.get(o(asked, message))
    page_404 = await browser.get("/o/x")

    nonces = [
        re.search(r"style-src 'self' 'nonce-([\w-]+)'", page.headers["Content-Security-Policy"])
        for page in (first, second)
    ]
    assert nonces[0][1] != nonces[1][1]
    assert f'<style nonce="{nonces[0][1]}">' in first.body
    for page in (first, page_404, await browser.send("POST", u(asked, message))):
        assert "unsafe-inline" not in page.headers["Content-Security-Policy"]
        assert page.headers["Referrer-Policy"] == "strict-origin"
        assert page.headers["Cache-Control"] == "no-store"
        assert "noindex" in page.headers["X-Robots-Tag"]
        assert page.headers["X-Frame-Options"] == "DENY"
        assert "Set-Cookie" not in page.headers
        assert not re.search(r'(style=|onclick=|src="http|checked)', page.body)


async def test_what_a_shop_or_a_purpose_is_called_is_text(asked, browser):
    evil = replace(
        TENT, name="<script>alert(1)</script>", brand=replace(TENT.brand, primary="red}</style>", font="x;}")
    )
    await asked.put(tent=evil, boat=BOAT)

    page = await browser.get(o(asked, await asked.ask()))

    assert "<script>alert" not in page.body
    assert "red}" not in page.body
    assert "x;}" not in page.body


def bytes_of(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=")


def without_nonces(page: Said) -> str:
    return re.sub(r'nonce="[^"]*"', "", page.body)
