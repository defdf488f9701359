"""D: tokens. Only what we signed, as we spelled it, opens anything; everything else is the same 404 to the byte."""

from __future__ import annotations

import base64

import pytest

from handraiser.core.links import Link, LinkKind
from siege import DAY, Said, Siege

pytestmark = pytest.mark.asyncio(loop_scope="module")


def shown(said: Said) -> tuple[int, str, frozenset[str]]:
    return said.status, said.body, frozenset(name for name in said.headers if name != "Date")


async def test_d1_another_kinds_byte_is_no_link(siege: Siege):
    alice = await siege.ask()
    payload, tag = alice.token.split(".")
    packed = bytearray(base64.urlsafe_b64decode(payload))
    packed[20] = LinkKind.CONFIRM
    swapped = base64.urlsafe_b64encode(bytes(packed)).decode() + "." + tag

    assert (await siege.get(alice.link.replace(alice.token, swapped))).status == 404


async def test_d2_a_link_that_leaves_opens_no_ask_and_an_ask_does_not_leave(siege: Siege):
    alice = await siege.ask()
    leave = alice.leave.rpartition("/")[2]

    for link in (alice.link.replace(alice.token, leave), alice.leave.replace(leave, alice.token)):
        for method in ("GET", "POST"):
            assert (await siege.send(method, link, {"action": "yes"} if method == "POST" else None)).status == 404
    assert await siege.events(alice) == []


async def test_d3_each_of_168_bits_counts(siege: Siege):
    alice = await siege.ask()
    payload, tag = alice.token.split(".")
    packed = base64.urlsafe_b64decode(payload)
    assert len(packed) * 8 == 168

    for bit in range(168):
        flipped = bytearray(packed)
        flipped[bit // 8] ^= 1 << (bit % 8)
        token = base64.urlsafe_b64encode(bytes(flipped)).decode() + "." + tag
        assert (await siege.get(alice.link.replace(alice.token, token))).status == 404
    assert (await siege.get(alice.link)).status == 200


async def test_d4_another_spelling_of_the_same_bytes_is_no_link(siege: Siege):
    alice = await siege.ask()
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 128 bits fill 21 letters and a third of the 22nd: 15 more last letters mean the same tag.
    tag = base64.urlsafe_b64decode(alice.token[29:] + "==")
    same = [letter for letter in letters if base64.urlsafe_b64decode(alice.token[29:-1] + letter + "==") == tag]
    assert len(same) == 16

    for letter in set(same) - {alice.token[-1]}:
        assert (await siege.get(alice.link[:-1] + letter)).status == 404
    for more in ("=", "==", "%3D"):
        assert (await siege.get(alice.link + more)).status == 404


async def test_d5_an_expired_link_is_gone_and_says_how_to_go_on(siege: Siege):
    alice = await siege.ask()
    with siege.clock.later(30 * DAY - 60_000):
        page = await siege.get(alice.link)
        assert page.status == 200
    with siege.clock.later(30 * DAY + 60_000):
        opened = await siege.get(alice.link)
        pressed = await siege.press(alice.link, page=page)

    assert (opened.status, pressed.status) == (410, 410)
    assert await siege.events(alice) == []


async def test_d6_an_unknown_message_and_a_bad_signature_look_the_same_to_the_byte(siege: Siege):
    alice = await siege.ask()
    known = siege.links.read(alice.token)
    unknown = siege.links.sign(Link(known.shop_number, b"\x01" * 16, LinkKind.OPT_IN))
    forged = alice.token[:-1] + ("A" if alice.token[-1] != "A" else "Q")

    answers = [await siege.get(alice.link.replace(alice.token, token)) for token in (unknown, forged, "x")]

    assert len({shown(answer) for answer in answers}) == 1
    assert answers[0].status == 404


async def test_d7_the_ask_of_an_erased_customer_is_gone_and_leaving_is_still_answered(siege: Siege):
    alice = await siege.ask()
    async with siege.it.service.database.transaction() as tx:
        await tx.execute(
            "UPDATE subject SET lookup = NULL, address = NULL, erased_at = $1 WHERE subject_id ="
            " (SELECT subject_id FROM message WHERE message_id = $2)",
            (siege.clock.now, siege.links.read(alice.token).id),
        )

    assert (await siege.get(alice.link)).status == 404
    assert (await siege.send("POST", alice.leave, {"List-Unsubscribe": "One-Click"})).status == 200


GARBAGE = [
    "",
    "x",
    ".",
    "%00",
    "%F0%9F%98%80",
    "%2e%2e%2f",
    "é",
    "A" * 5000,
    "a/b",
    "%0d%0aX:1",
    "'or 1=1--",
    "{{7*7}}",
]


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_d9_garbage_is_refused_quietly(siege: Siege, garbage: str):
    alice = await siege.ask()

    for road in ("o", "u"):
        for method in ("GET", "POST"):
            said = await siege.send(method, f"http://tents.localhost:{siege.it.port}/{road}/{garbage}")
            assert said.status in (400, 404)
    assert await siege.events(alice) == []
