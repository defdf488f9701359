"""B: people. Whoever presses is heard, in whatever browser, once, and leaving is remembered longer than a yes."""

from __future__ import annotations

import asyncio

import pytest

from siege import DAY, HOUR, SAFARI, Asked, Siege

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANDROID_MAIL = {
    "User-Agent": "Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0"
    " Chrome/140.0.0.0 Mobile Safari/537.36",
    "Accept-Language": "en",
    "X-Requested-With": "com.google.android.gm",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-User": "?1",
    "Sec-Fetch-Dest": "document",
}
IPHONE_MAIL = SAFARI | {"User-Agent": SAFARI["User-Agent"].replace(" Version/18.0", "").replace(" Safari/604.1", "")}
OLD_SAFARI = {
    "User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 12_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/12.1 Mobile/15E148 Safari/604.1",
    "Accept-Language": "en",
}
FIREFOX = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept-Language": "en",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-User": "?1",
    "Sec-Fetch-Dest": "document",
}
CUBOT = ANDROID_MAIL | {"User-Agent": "Mozilla/5.0 (Linux; Android 13; CUBOT X70) AppleWebKit/537.36 Chrome/140.0.0.0"}


@pytest.mark.parametrize("after", [0, 15_000, 20_000, 2 * HOUR], ids=["B1", "B2 15 s", "20 s", "2 h"])
async def test_a_person_who_presses_has_consented_however_soon(siege: Siege, after: int):
    alice = await siege.ask()

    with siege.clock.later(after):
        await siege.press(alice.link)

    assert await siege.events(alice) == ["granted"]


@pytest.mark.parametrize(
    "browser",
    [SAFARI, IPHONE_MAIL, OLD_SAFARI, FIREFOX, ANDROID_MAIL, CUBOT],
    ids=["B3 Safari", "iPhone mail app", "old Safari", "Firefox", "Android mail app", "CUBOT phone"],
)
async def test_a_person_gets_through_in_any_browser_without_cookie_or_storage(siege: Siege, browser: dict[str, str]):
    alice = await siege.ask()

    said = await siege.press(alice.link, browser=browser)

    assert "Set-Cookie" not in said.headers
    assert await siege.events(alice) == ["granted"]


@pytest.mark.parametrize("browser", [FIREFOX, ANDROID_MAIL], ids=["Firefox", "Android mail app"])
async def test_b12_the_browsers_own_word_is_enough_without_scripts(siege: Siege, browser: dict[str, str]):
    alice = await siege.ask()

    await siege.press(alice.link, press="", browser=browser)

    (entry,) = (await siege.known(alice))["entries"]
    assert (entry["event"], entry["attestation"]) == ("granted", "sec_fetch_user")


async def test_b13_a_press_without_any_attestation_gets_there_by_the_confirmation_mail(siege: Siege):
    alice = await siege.ask()
    await siege.press(alice.link, press="", browser=SAFARI)
    assert await siege.events(alice) == ["pending"]

    await siege.press(await siege.confirmation_link(alice), press="", browser=SAFARI)

    assert await siege.events(alice) == ["pending", "granted"]
    assert (await siege.known(alice))["entries"][1]["attestation"] == "fetch_metadata"


async def test_a_script_that_presses_in_the_confirmation_mail_too_is_still_no_person(siege: Siege):
    alice = await siege.ask()

    await siege.press(alice.link, press="script", browser=SAFARI)

    for link in (alice.link, await siege.confirmation_link(alice)):
        await siege.press(link, press="script", browser=SAFARI)
        await siege.press(link, press="script", Sec_Fetch_User=None)
        await siege.press(link, press="", browser={"User-Agent": "Wapiti/3.2", "Accept-Language": "en"})

    assert await siege.events(alice) == ["pending"]
    assert await siege.standing(alice) == "pending"


async def test_b14_a_trusted_event_is_enough_where_the_browser_says_nothing(siege: Siege):
    alice = await siege.ask()

    await siege.press(alice.link, browser=OLD_SAFARI)

    (entry,) = (await siege.known(alice))["entries"]
    assert (entry["event"], entry["attestation"]) == ("granted", "trusted_event")


async def test_b4_a_scanner_before_the_person_changes_nothing(siege: Siege):
    alice = await siege.ask()
    await siege.get(alice.link, User_Agent="Barracuda Sentinel")
    await siege.press(alice.link, press="script", Sec_Fetch_User=None)
    assert await siege.standing(alice) == "pending"

    await siege.press(alice.link)

    assert await siege.events(alice) == ["pending", "granted"]


async def test_a_person_whose_traffic_leaves_from_a_data_centre_is_doubted_and_heard(siege: Siege):
    alice = await siege.ask()

    await siege.press(alice.link, X_Forwarded_For="9.9.9.9")

    assert await siege.events(alice) == ["granted"]
    pressed, _ = await siege.visits(alice)
    assert (pressed["verdict"], pressed["reasons"]) == ("human", ["hosting_network"])


async def test_b5_three_presses_at_once_are_one_entry(siege: Siege):
    alice = await siege.ask()
    page = await siege.get(alice.link)

    said = await asyncio.gather(*(siege.press(alice.link, page=page) for _ in range(3)))

    assert {one.status for one in said} == {200}
    assert await siege.events(alice) == ["granted"]


async def test_b6_two_emails_pressed_at_once_are_one_entry(siege: Siege):
    first = await siege.ask()
    with siege.clock.later(20 * DAY):
        second = await siege.ask(first, kind="new")
    assert siege.purpose(first) == siege.purpose(second)

    await asyncio.gather(siege.press(first.link), siege.press(second.link))

    assert await siege.events(first) == ["granted"]


async def leave(siege: Siege, who: Asked) -> None:
    assert (await siege.send("POST", who.leave, {"List-Unsubscribe": "One-Click"})).status == 200


async def test_b7_and_b8_an_old_link_after_leaving_leads_to_a_second_step_at_most(siege: Siege):
    alice = await siege.ask()
    await siege.press(alice.link)
    await leave(siege, alice)

    await siege.get(alice.link)
    assert await siege.standing(alice) == "withdrawn"

    await siege.press(alice.link)
    assert await siege.events(alice) == ["granted", "withdrawn", "pending"]


async def test_b9_an_email_that_is_newer_than_the_no_grants(siege: Siege):
    first = await siege.ask()
    with siege.clock.later(20 * DAY):
        second = await siege.ask(first, kind="new")
    await siege.press(first.link)
    await siege.press(first.link, "undo")
    assert await siege.standing(first) == "withdrawn"

    with siege.clock.later(20 * DAY):
        await siege.press(second.link)

    assert await siege.standing(first) == "granted"


async def test_who_opens_and_leaves_and_taps_elsewhere_has_said_nothing(siege: Siege):
    alice = await siege.ask()

    await siege.get(alice.link)
    page = await siege.get(alice.link, SAFARI)

    assert "not signed up" in page.body
    assert await siege.events(alice) == []
