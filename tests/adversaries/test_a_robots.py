"""A: robots. Whatever a program does with the links of an email, nobody has consented."""

from __future__ import annotations

import pytest

from handraiser.core.links import LinkKind
from siege import HOUR, MINUTE, Siege

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(("method", "times"), [("HEAD", 1), ("GET", 1), ("GET", 100)], ids=["A1", "A2", "A3"])
async def test_looking_at_a_link_however_often_is_no_consent(siege: Siege, method: str, times: int):
    alice = await siege.ask()

    for _ in range(times):
        assert (await siege.send(method, alice.link)).status == 200

    assert await siege.events(alice) == []
    assert len(await siege.visits(alice)) == times


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "PATCH", "DELETE"])
async def test_a4_other_methods_are_refused(siege: Siege, method: str):
    alice = await siege.ask()

    assert (await siege.send(method, alice.link)).status == 405

    assert await siege.events(alice) == []


async def test_a5_a_program_that_opens_every_link_at_once_is_doubted_and_grants_nothing(siege: Siege):
    alice = await siege.ask()
    for link in (alice.leave, alice.link):
        assert (await siege.get(link)).status == 200
        await siege.settled()

    assert await siege.events(alice) == []
    assert (await siege.visits(alice))[0]["reasons"] == ["soon_after_sending", "burst"]


async def test_a6_a_script_that_presses_in_chrome_only_makes_it_pending(siege: Siege):
    alice = await siege.ask()

    await siege.press(alice.link, press="script", Sec_Fetch_User=None)

    assert await siege.events(alice) == ["pending"]
    assert (await siege.visits(alice))[0]["reasons"] == ["press_without_user"]


async def test_a7_a_press_without_the_page_gets_the_page(siege: Siege):
    alice = await siege.ask()

    said = await siege.send("POST", alice.link, {"action": "yes"}, Origin=None, Sec_Fetch_Site="same-origin")

    assert said.status == 200
    assert "nonce" in said.form
    assert await siege.events(alice) == []


async def test_a8_a_forged_nonce_gets_the_page(siege: Siege):
    alice = await siege.ask()
    page = await siege.get(alice.link)
    forged = page.form["nonce"][:-4] + ("AAAA" if page.form["nonce"][-4:] != "AAAA" else "BBBB")

    said = await siege.send(
        "POST", alice.link, page.form | {"nonce": forged, "action": "yes"}, Sec_Fetch_Site="same-origin"
    )

    assert said.form["nonce"] != forged
    assert await siege.events(alice) == []


async def test_a9_another_messages_nonce_is_none(siege: Siege):
    alice, bob = await siege.ask(), await siege.ask()

    await siege.press(alice.link, page=await siege.get(bob.link))

    assert await siege.events(alice) == []
    assert await siege.events(bob) == []


async def test_a10_a_nonce_older_than_an_hour_is_none(siege: Siege):
    alice = await siege.ask()
    page = await siege.get(alice.link)

    with siege.clock.later(61 * MINUTE):
        await siege.press(alice.link, page=page)
        assert await siege.events(alice) == []
    with siege.clock.later(59 * MINUTE):
        await siege.press(alice.link, page=page)
        assert await siege.events(alice) == ["granted"]


async def test_a16_an_answer_that_claims_to_come_by_itself_is_no_press(siege: Siege):
    alice = await siege.ask()

    with siege.clock.later(2 * HOUR):
        page = await siege.get(alice.link)
        form = page.form | {"action": "yes", "via": "auto", "press": "script"}
        await siege.send("POST", alice.link, form, Sec_Fetch_Site="same-origin", Sec_Fetch_User=None)

    assert await siege.events(alice) == ["pending"]


@pytest.mark.parametrize(
    ("header", "value"),
    [("Sec-Purpose", "prefetch;prerender"), ("Purpose", "prefetch"), ("X-Moz", "prefetch"), ("X-Purpose", "preview")],
)
async def test_a17_reading_ahead_is_a_robots_visit(siege: Siege, header: str, value: str):
    alice = await siege.ask()

    await siege.get(alice.link, **{header: value})

    assert await siege.events(alice) == []
    (visit,) = await siege.visits(alice)
    assert visit["verdict"] == "bot"
    assert "prefetch" in visit["reasons"]


async def test_a18_who_stepped_into_the_honeypot_only_gets_a_confirmation_mail(siege: Siege):
    alice = await siege.ask()
    trap = siege.another_link(alice, LinkKind.HONEYPOT)
    assert (await siege.get(trap)).status == 404
    await siege.settled()
    siege.clock.now += MINUTE

    await siege.press(alice.link)

    assert await siege.events(alice) == ["pending"]
    pressed, _, trapped = await siege.visits(alice)
    assert (pressed["verdict"], pressed["reasons"]) == ("bot", ["honeypot"])
    assert trapped["link"] == "honeypot"


async def test_a_browser_that_reads_the_honeypot_ahead_keeps_no_person_out(siege: Siege):
    alice = await siege.ask()
    await siege.get(siege.another_link(alice, LinkKind.HONEYPOT), Sec_Purpose="prefetch")
    await siege.settled()

    await siege.press(alice.link)

    assert await siege.events(alice) == ["granted"]


async def test_a19_a_scrambled_query_is_nothing(siege: Siege):
    alice = await siege.ask()

    assert (await siege.get(f"{alice.link}?confirm=true&via=button&action=yes")).status == 200

    assert await siege.events(alice) == []


async def test_a20_fields_in_the_address_of_a_post_count_for_nothing(siege: Siege):
    alice = await siege.ask()
    form = (await siege.get(alice.link)).form | {"action": "yes", "press": "trusted"}
    query = "&".join(f"{name}={value}" for name, value in form.items())

    await siege.send("POST", f"{alice.link}?{query}", {"x": "1"}, Sec_Fetch_Site="same-origin")

    assert await siege.events(alice) == []


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
async def test_a21_a_header_makes_no_post_of_a_get(siege: Siege, header: str):
    alice = await siege.ask()

    await siege.get(f"{alice.link}?action=yes", **{header: "POST"})

    assert await siege.events(alice) == []
    assert [visit["method"] for visit in await siege.visits(alice)] == ["GET"]


async def test_a_form_filling_crawler_that_lies_about_the_press_only_makes_it_pending(siege: Siege):
    alice = await siege.ask()
    crawler = {"User-Agent": "FormFiller/3.2", "Accept-Language": "en"}

    await siege.press(alice.link, browser=crawler)

    assert await siege.events(alice) == ["pending"]
    assert (await siege.visits(alice))[0]["verdict"] == "suspect"


async def test_a_link_that_is_pressed_from_three_networks_was_handed_on(siege: Siege):
    alice = await siege.ask()
    page = await siege.get(alice.link)
    for network in ("198.51.100.9", "203.0.113.9"):
        await siege.press(alice.link, "undo", page=page, X_Forwarded_For=network)
        await siege.settled()

    await siege.press(alice.link, X_Forwarded_For="192.0.2.9")

    assert await siege.events(alice) == ["pending"]
    assert (await siege.visits(alice))[0]["reasons"] == ["many_networks"]
