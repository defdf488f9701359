"""A11 to A15, B10, B11: where a purpose and a country let a late visit grant by itself, it is provisional, and what a
robot gives away within two minutes voids it. A press is never voided."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from handraiser.core.block import Purpose
from handraiser.core.links import LinkKind
from handraiser.store import blocks, outbox
from handraiser.store.blocks import PurposeRow
from siege import HOUR, MINUTE, Asked, Said, Siege

pytestmark = pytest.mark.asyncio(loop_scope="module")
WITHIN, SETTLED = 60_000, 121_000


async def an_ask(siege: Siege) -> Asked:
    """An email whose ask may be granted by a late visit."""
    service = siege.it.service
    shop = await service.govern.shop("tents")
    newest = next(row for row in await blocks.purposes(service.database, shop.controller.id) if row.slug == "offers")
    purpose = Purpose.from_json(newest.content)
    if purpose.grant == "press":
        late = replace(purpose, version=purpose.version + 1, grant="auto_late")
        row = PurposeRow(shop.controller.id, late.id, late.version, late.to_json(), siege.clock.now, "a marketer")
        await service.writer.write(blocks.put_purposes, row)
        await service.publish.refresh()
    return await siege.ask()


async def visit(siege: Siege, alice: Asked) -> Said:
    """What the page's own script does in a browser: it sends the form without being pressed."""
    page = await siege.get(alice.link)
    assert "data-automatic" in page.body
    return await by_itself(siege, alice, page)


async def by_itself(siege: Siege, alice: Asked, page: Said) -> Said:
    form = page.form | {"via": "auto", "press": "script", "action": "yes"}
    origin = alice.link.split("/o/")[0]
    return await siege.send("POST", alice.link, form, Origin=origin, Sec_Fetch_Site="same-origin", Sec_Fetch_User=None)


async def exported(siege: Siege, alice: Asked) -> list[str]:
    """What other systems are told of the customer."""
    shop = await siege.it.service.govern.shop("tents")
    events = {one["event_id"] for one in (await siege.known(alice))["entries"]}
    found = await outbox.recent(siege.it.service.database, shop.controller.id, limit=500, carrier="webhook")
    return [row.event for row in found if row.payload["event_id"] in events]


async def test_a11_within_five_minutes_a_visit_only_makes_it_pending(siege: Siege):
    alice = await an_ask(siege)

    page = await siege.get(alice.link)
    assert "data-automatic" not in page.body
    await by_itself(siege, alice, page)

    assert await siege.events(alice) == ["pending"]


async def test_a12_b10_a_late_visit_grants_provisionally_and_is_told_to_others_once_it_has_settled(siege: Siege):
    alice = await an_ask(siege)

    with siege.clock.later(2 * HOUR):
        await visit(siege, alice)
        (entry,) = (await siege.known(alice))["entries"]
        assert (entry["event"], entry["method"], entry["attestation"]) == ("granted", "auto", "none")
        assert "provisional" in entry["verdict_reasons"]
        await siege.it.service.answer.settle()
        assert await exported(siege, alice) == []
    with siege.clock.later(2 * HOUR + SETTLED):
        await siege.it.service.answer.settle()
        assert await exported(siege, alice) == ["consent.granted"]
        await siege.it.service.answer.settle()

    assert await exported(siege, alice) == ["consent.granted"]
    assert await siege.events(alice) == ["granted"]


@pytest.mark.parametrize(
    ("link", "after", "reason"),
    [("honeypot", WITHIN, "honeypot"), ("leave", 1_500, "burst"), ("leave", 2_500, "")],
    ids=["A13 honeypot within 120 s", "A14 another link within 2 s", "another link after 2 s"],
)
async def test_b11_what_a_robot_gives_away_voids_it_and_a_void_grant_is_told_to_nobody(
    siege: Siege, link: str, after: int, reason: str
):
    alice = await an_ask(siege)

    with siege.clock.later(2 * HOUR):
        await visit(siege, alice)
    with siege.clock.later(2 * HOUR + after):
        await look_at(siege, alice.leave if link == "leave" else siege.another_link(alice, LinkKind.HONEYPOT))
    with siege.clock.later(2 * HOUR + SETTLED):
        await siege.it.service.answer.settle()
    with siege.clock.later(24 * HOUR):
        await siege.it.service.answer.settle()

    if not reason:
        assert await siege.events(alice) == ["granted"]
        return
    assert await siege.events(alice) == ["granted", "voided"]
    voided = (await siege.known(alice))["entries"][1]
    assert (voided["method"], voided["verdict"], voided["verdict_reasons"]) == ("signal", "bot", [reason])
    assert await siege.standing(alice) == "voided"
    assert await exported(siege, alice) == []


async def look_at(siege: Siege, link: str) -> None:
    """A visit that is in the click log afterwards, whatever the link opens."""
    await siege.get(link)
    await siege.settled()


async def test_a15_a_press_is_never_voided_by_a_later_scan(siege: Siege):
    alice = await an_ask(siege)

    with siege.clock.later(2 * HOUR):
        await siege.press(alice.link)
        await look_at(siege, siege.another_link(alice, LinkKind.HONEYPOT))
    with siege.clock.later(2 * HOUR + SETTLED):
        await siege.it.service.answer.settle()

    assert await siege.events(alice) == ["granted"]
    assert await exported(siege, alice) == ["consent.granted"]


async def test_a_press_makes_a_provisional_grant_firm_whatever_is_scanned_later(siege: Siege):
    alice = await an_ask(siege)

    with siege.clock.later(2 * HOUR):
        page = await siege.get(alice.link)
        await by_itself(siege, alice, page)
        await siege.press(alice.link, page=page)
        await look_at(siege, siege.another_link(alice, LinkKind.HONEYPOT))
    with siege.clock.later(2 * HOUR + SETTLED):
        await siege.it.service.answer.settle()

    assert await siege.events(alice) == ["granted", "granted"]
    assert [one["method"] for one in (await siege.known(alice))["entries"]] == ["auto", "button"]
    assert await exported(siege, alice) == ["consent.granted"]


async def test_who_leaves_before_it_settles_has_left(siege: Siege):
    alice = await an_ask(siege)

    with siege.clock.later(2 * HOUR):
        await visit(siege, alice)
    with siege.clock.later(2 * HOUR + MINUTE):
        await siege.send("POST", alice.leave, {"List-Unsubscribe": "One-Click"}, {})
    with siege.clock.later(2 * HOUR + SETTLED):
        await siege.it.service.answer.settle()

    assert await siege.events(alice) == ["granted", "withdrawn"]
    assert "consent.granted" not in await exported(siege, alice)


async def test_two_replicas_settle_each_grant_once(siege: Siege):
    alice = await an_ask(siege)
    with siege.clock.later(2 * HOUR):
        await visit(siege, alice)

    with siege.clock.later(2 * HOUR + SETTLED):
        await asyncio.gather(*(siege.it.service.answer.settle() for _ in range(4)))

    assert await exported(siege, alice) == ["consent.granted"]


async def test_a_robots_late_visit_grants_nothing(siege: Siege):
    alice = await an_ask(siege)
    with siege.clock.later(2 * HOUR):
        page = await siege.get(alice.link)
        origin = alice.link.split("/o/")[0]
        form = page.form | {"via": "auto", "press": "script", "action": "yes"}
        await siege.send("POST", alice.link, form, {}, Origin=origin, User_Agent="curl/8", Accept_Language="en")

    assert await siege.events(alice) == ["pending"]


async def test_one_country_that_does_not_let_it_is_enough(siege: Siege):
    alice = await an_ask(siege)
    async with siege.it.service.database.transaction() as tx:
        await tx.execute(
            "UPDATE message SET market = 'CA+US' WHERE message_id = $1", (siege.links.read(alice.token).id,)
        )

    with siege.clock.later(2 * HOUR):
        page = await siege.get(alice.link)
        assert "data-automatic" not in page.body
        await by_itself(siege, alice, page)

    assert await siege.events(alice) == ["pending"]
