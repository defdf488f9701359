"""A client, the relay, a real Postfix, a mailbox: the client always knows the truth; nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import mails
from command_line import Home, started
from handraiser.core.rules.file import read_rules
from handraiser.core.rules.match import ShopRule
from handraiser.core.rules.recognise import Recognised
from postfix import Postfix, postfix
from running import free_port
from smtp_talk import Enriched, Enriching, relaying, talking

pytestmark = pytest.mark.postfix

ALICE, BOB, CHARLIE, NOBODY = "alice@example.com", "bob@example.com", "charlie@example.com", "nobody@example.com"
ARCHIVE = "archive@tents.example"
NUMBER = re.compile(rb"^X-Number: (\d+)", re.MULTILINE)


PLAIN = b"From: orders@tents.example\r\nTo: alice@example.com\r\n\r\nThank you.\r\n"


def a_mail(number: int, raw: bytes = PLAIN) -> bytes:
    return b"X-Number: %d\r\n%s" % (number, raw)


def numbers(found: list[bytes]) -> list[int]:
    return sorted(int(NUMBER.search(one)[1]) for one in found)


@pytest.fixture
def hop() -> Iterator[Postfix]:
    with postfix() as running:
        yield running


async def mails_of(hop: Postfix, name: str, count: int) -> list[bytes]:
    return await asyncio.to_thread(hop.mails, name, count)


async def test_every_structure_arrives_as_it_would_have_without_us(hop: Postfix):
    every = [one.raw for one in mails.every_mail()]
    made = [one for one in every if one.count(b"\n") == one.count(b"\r\n") == one.count(b"\r")]
    made = [one if one.endswith(b"\r\n") else one + b"\r\n" for one in made]
    async with relaying(hop.port) as relay, talking(relay.port) as client, talking(hop.port) as direct:
        for number, raw in enumerate(made):
            assert (await client.send(a_mail(number, raw), ALICE)).startswith("250 2.0.0")
            assert (await direct.send(a_mail(number, raw), BOB)).startswith("250 2.0.0")
    ours, theirs = [
        {numbers([one])[0]: one[one.index(b"X-Number:") :] for one in await mails_of(hop, name, len(made))}
        for name in ("alice", "bob")
    ]

    assert len(made) > 150
    assert sorted(ours) == list(range(len(made)))
    assert ours == theirs


async def test_each_recipient_is_answered_for_and_gets_the_mail_once_or_not(hop: Postfix):
    async with relaying(hop.port) as relay, talking(relay.port) as client:
        said = await client.begin(ALICE, NOBODY, CHARLIE, BOB, "x@elsewhere.example")
        assert " ".join(one[4:9] for one in said) == "2.1.0 2.1.5 5.1.1 4.7.1 2.1.5 5.7.1"
        assert (await client.data(a_mail(1))).startswith("250 2.0.0")
        assert (await client.begin(NOBODY))[1].startswith("550 5.1.1")
        assert (await client.say("DATA")).startswith("554")
        assert (await client.send(a_mail(2), ALICE, sender="")).startswith("250 2.0.0")

    assert numbers(await mails_of(hop, "alice", 2)) == [1, 2]
    assert numbers(await mails_of(hop, "bob", 1)) == [1]


async def test_a_mail_beyond_the_hops_size_is_refused_before_and_after_it_is_sent():
    with postfix(size=1_000_000) as hop:
        async with relaying(hop.port) as relay, talking(relay.port) as client:
            assert "250-SIZE 800000" in await client.say("EHLO shop.example")
            assert (await client.say("MAIL FROM:<a@tents.example> SIZE=900000")).startswith("552")
            assert (await client.send(a_mail(1) + b"x" * 990 * 900 + b"\r\n", ALICE)).startswith("552")
            assert (await client.send(a_mail(2), ALICE)).startswith("250")
        assert numbers(await mails_of(hop, "alice", 1)) == [2]


@pytest.mark.parametrize("when", ["before", "at_data"])
async def test_a_hop_that_stands_still_is_451_and_the_mail_comes_once_when_it_moves_again(hop: Postfix, when: str):
    patience = {"relay_hop_seconds": 0.5, "relay_data_seconds": 0.5}
    async with relaying(hop.port, **patience) as relay, talking(relay.port) as client:
        assert (await client.send(a_mail(0), ALICE)).startswith("250")
        if when == "at_data":
            await client.begin(ALICE)
        hop.freeze()
        answer = await client.data(a_mail(1)) if when == "at_data" else await client.say("MAIL FROM:<a@tents.example>")
        hop.thaw()
        assert answer.startswith("451 4.4")
        await client.say("RSET")
        assert (await client.send(a_mail(1), ALICE)).startswith("250")

    assert numbers(await mails_of(hop, "alice", 2)) == [0, 1]


async def test_a_hop_that_is_down_is_451_and_used_again_when_it_is_back(hop: Postfix):
    async with relaying(hop.port) as relay, talking(relay.port) as client:
        assert (await client.send(a_mail(0), ALICE)).startswith("250")
        await asyncio.to_thread(hop.stop)
        assert (await client.say("MAIL FROM:<a@tents.example>")).startswith("451 4.4.1")
        await asyncio.to_thread(hop.start)
        assert (await client.send(a_mail(1), ALICE)).startswith("250")

    assert numbers(await mails_of(hop, "alice", 2)) == [0, 1]


async def test_of_a_hop_that_is_killed_while_mail_flows_nothing_is_lost_that_was_acknowledged(hop: Postfix):
    taken: list[int] = []
    enough = asyncio.Event()

    async def shop(first: int, port: int) -> None:
        """Send 30 mails, each until it is taken, as a shop's queue does."""
        async with talking(port) as client:
            for number in range(first, first + 30):
                while True:
                    said = await client.send(a_mail(number), ALICE)
                    if said.startswith("250"):
                        taken.append(number)
                        if len(taken) == 20:
                            enough.set()
                        break
                    assert said[:3] in ("451", "421", "503"), said
                    await client.say("RSET")
                    await asyncio.sleep(0.05)

    async with relaying(hop.port, relay_hop_seconds=2) as relay:
        shops = [asyncio.create_task(shop(n * 100, relay.port)) for n in range(3)]
        await enough.wait()
        await asyncio.to_thread(hop.stop, signal.SIGKILL)
        await asyncio.to_thread(hop.start)
        await asyncio.gather(*shops)
    arrived = Counter(numbers(await mails_of(hop, "alice", 90)))

    assert set(arrived) == set(taken)
    assert len(taken) == 90
    assert sum(arrived.values()) <= 90 + len(shops), "only what the kill cut off before its answer came twice"


async def test_copies_and_the_readers_enriched_mail_reach_their_mailboxes(hop: Postfix):
    match = f'copies = "{ARCHIVE}"\nmatch = {{ from = "@tents.example" }}'
    (rule,) = read_rules(f'version = 1\n[[rules]]\nid = "a"\ntype = "order_confirmation"\n{match}')

    async def enrich(raw: bytes, _found: Recognised, _reader: str) -> Enriched:
        return Enriched(raw + b"Block.\r\n")

    async with (
        relaying(hop.port, rules=[ShopRule("tents", rule)], enrich=Enriching(enrich), enrich_seconds=30.0) as relay,
        talking(relay.port) as client,
    ):
        assert (await client.send(a_mail(1), ARCHIVE, ALICE)).startswith("250")

    (alices,), (archived,) = await mails_of(hop, "alice", 1), await mails_of(hop, "archive", 1)
    assert alices.endswith(b"Thank you.\nBlock.\n")
    assert archived.endswith(b"\n\nThank you.\n")
    for one in (alices, archived):
        assert one.count(b"\nReceived: ") == 2, "Postfix's and one of ours"


async def test_a_service_that_is_killed_in_the_middle_of_a_mail_has_sent_nothing_and_serves_again(
    hop: Postfix, tmp_path: Path
):
    port = free_port()
    home = Home(
        tmp_path,
        {
            "HANDRAISER_LISTEN": f"127.0.0.1:{free_port()}",
            "HANDRAISER_RELAY_LISTEN": f"127.0.0.1:{port}",
            "HANDRAISER_RELAY_NEXT_HOP": f"smtp://127.0.0.1:{hop.port}",
        },
    )
    command = [home.python, "-m", "handraiser", "serve", "--relay"]
    with started(command, tmp_path, home.environ) as service:
        await asyncio.to_thread(service.until, lambda: any('"relaying"' in line for line in service.log), "the relay")
        async with talking(port) as client:
            await client.begin(ALICE)
            await client.say("DATA")
            client.writer.write(a_mail(1)[:-10])
            await client.writer.drain()
            os.killpg(service.process.pid, signal.SIGKILL)
            assert await client.answer() == "", "no answer, so the client sends it again"
    with started(command, tmp_path, home.environ) as service:
        await asyncio.to_thread(service.until, lambda: any('"relaying"' in line for line in service.log), "the relay")
        async with talking(port) as client:
            assert (await client.send(a_mail(1), ALICE)).startswith("250 2.0.0")
            os.kill(service.process.pid, signal.SIGTERM)
            assert (await client.answer()).startswith("421 4.3.2")
        assert await asyncio.to_thread(service.process.wait, 60) == 0
        assert not any(ALICE in line or "orders@" in line for line in service.log)

    assert numbers(await mails_of(hop, "alice", 1)) == [1]


def test_a_relay_without_a_next_hop_does_not_start(tmp_path: Path):
    assert "relay_next_hop" in Home(tmp_path).refused("serve", "--relay")
