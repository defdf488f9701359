"""What the relay sends on when a mail was enriched: to whom, in which transaction, and what when the hop says no."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from handraiser.core.rules.file import read_rules
from handraiser.core.rules.match import ShopRule
from handraiser.core.rules.recognise import Recognised
from handraiser.isolate import Workers
from smtp_talk import CLOSE, Enriched, Enriching, ScriptedHop, outcomes, relaying, talking

ALICE, ARCHIVE, REVIEWS = "alice@example.com", "archive@tents.example", "reviews@stars.example"
MAIL = (
    b"From: Tents <orders@tents.example>\r\nTo: Alice <alice@example.com>\r\nSubject: Order 1001\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<p>Thank you.</p>\r\n"
)
BLOCK = b"<p>Block</p>\r\n"
RULES = [
    ShopRule("tents", rule)
    for rule in read_rules(
        f"""
version = 1
[[rules]]
id = "order"
type = "order_confirmation"
copies = ["{ARCHIVE}", "{REVIEWS}"]
match = {{ from = "orders@tents.example", subject = 'Order \\d+' }}
extract = {{ order_number = {{ subject = 'Order (\\d+)' }} }}
"""
    )
]


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    opened = Workers(2, seconds=30)
    yield opened
    opened.close()


async def with_block(raw: bytes, found: Recognised, _reader: str) -> Enriched:
    assert found.values == {"order_number": "1001"}
    return Enriched(raw + BLOCK)


def enriching(hop: ScriptedHop, workers: Workers, **given: Any) -> Any:
    return relaying(hop, **{"rules": RULES, "enrich": Enriching(with_block), "workers": workers, **given})


def got(hop: ScriptedHop) -> list[tuple[list[str], str]]:
    """Who got what, in the order of delivery."""
    kinds = {MAIL: "original", MAIL + BLOCK: "enriched"}
    return [(one.recipients, kinds[one.content.split(b"\r\n", 3)[3]]) for one in hop.delivered]


def paths(*addresses: str) -> list[str]:
    return [f"<{one}>" for one in addresses]


async def test_a_mail_of_a_rule_goes_on_enriched_and_any_other_as_it_is(workers: Workers):
    async with ScriptedHop().open() as hop, enriching(hop, workers) as relay, talking(relay.port) as client:
        assert (await client.send(MAIL, ALICE)).startswith("250")
        assert (await client.send(MAIL, ALICE, sender="")).startswith("250")
        assert (await client.send(MAIL, "bob@example.com")).startswith("250")
        assert (await client.send(MAIL, ALICE, "bob@example.com")).startswith("250")

    assert [what for _, what in got(hop)] == ["enriched", "original", "original", "original"]
    assert outcomes(relay) == {
        ("enriched", ""): 1,
        ("passed", "null_sender"): 1,
        ("passed", "to_differs"): 1,
        ("passed", "several_recipients"): 1,
    }


async def test_copies_get_the_original_in_their_own_transaction_after_the_customers_was_taken(workers: Workers):
    async with ScriptedHop().open() as hop, enriching(hop, workers) as relay, talking(relay.port) as client:
        assert (await client.send(MAIL, ARCHIVE, ALICE, REVIEWS)).startswith("250")

    assert got(hop) == [(paths(ALICE), "enriched"), (paths(ARCHIVE, REVIEWS), "original")]


@pytest.mark.parametrize("second", ["550 5.1.1 not again", "451 4.7.1 too fast", CLOSE])
async def test_where_the_customers_copy_cannot_go_apart_all_get_the_original_at_once(workers: Workers, second: str):
    hop = ScriptedHop(says={"RCPT TO:<alice": ["250 OK", second]})
    async with hop.open(), enriching(hop, workers) as relay, talking(relay.port) as client:
        assert (await client.send(MAIL, ALICE, ARCHIVE)).startswith("250")

    assert got(hop) == [(paths(ALICE, ARCHIVE), "original")]


async def test_without_a_second_connection_all_get_the_original_at_once(workers: Workers):
    async with (
        ScriptedHop().open() as hop,
        enriching(hop, workers, relay_connections=1) as relay,
        talking(relay.port) as client,
    ):
        assert (await client.send(MAIL, ALICE, ARCHIVE)).startswith("250")

    assert got(hop) == [(paths(ALICE, ARCHIVE), "original")]


@pytest.mark.parametrize("answer", ["452 4.2.2 full", CLOSE])
async def test_a_customers_copy_that_is_put_off_puts_off_the_whole_mail(workers: Workers, answer: str):
    hop, enrich = ScriptedHop(says={".": [answer]}), Enriching(with_block)
    async with hop.open(), enriching(hop, workers, enrich=enrich) as relay, talking(relay.port) as client:
        assert (await client.send(MAIL, ALICE, ARCHIVE))[:3] in ("452", "451")
        assert enrich.unsent == [], "the next try brings the same block"
        assert got(hop) == [], "the client tries again, so nobody may have it yet"
        assert (await client.send(MAIL, ALICE, ARCHIVE)).startswith("250")

    assert got(hop) == [(paths(ALICE), "enriched"), (paths(ARCHIVE), "original")]


@pytest.mark.parametrize("to", [(ALICE,), (ALICE, ARCHIVE)])
async def test_a_hop_that_does_not_want_the_block_gets_the_receipt_without_it(workers: Workers, to: tuple[str, ...]):
    hop, enrich = ScriptedHop(says={".": ["554 5.6.0 looks like advertising"]}), Enriching(with_block)
    async with hop.open(), enriching(hop, workers, enrich=enrich) as relay, talking(relay.port) as client:
        assert (await client.send(MAIL, *to)).startswith("250")

    assert enrich.unsent == [(MAIL + BLOCK, "hop_refused")]
    assert got(hop) == [(paths(*to), "original")]
    assert outcomes(relay) == {("passed", "hop_refused"): 1}


async def test_a_hop_that_wants_neither_is_believed(workers: Workers):
    hop, enrich = ScriptedHop(says={".": "554 5.6.0 never"}), Enriching(with_block)
    async with hop.open(), enriching(hop, workers, enrich=enrich) as relay, talking(relay.port) as client:
        assert (await client.send(MAIL, ALICE)) == "554 5.6.0 never"

    assert len(enrich.unsent) == 1

    assert hop.delivered == []


async def test_copies_that_are_not_taken_a_moment_later_are_counted_and_never_double_the_customers(workers: Workers):
    hop = ScriptedHop(says={"RCPT TO:<archive": ["250 OK", "451 4.7.1 too fast"]})
    async with hop.open(), enriching(hop, workers) as relay, talking(relay.port) as client:
        assert (await client.send(MAIL, ALICE, ARCHIVE)).startswith("250")

    assert got(hop) == [(paths(ALICE), "enriched")]
    assert outcomes(relay) == {("enriched", ""): 1, ("copy_lost", ""): 1}


async def test_a_mail_that_has_grown_beyond_what_the_hop_takes_goes_on_as_it_is(workers: Workers):
    async def grows(raw: bytes, _found: Recognised, _reader: str) -> Enriched:
        return Enriched(raw + b"x" * 600_000)

    async with (
        ScriptedHop(offers=("SIZE 500000",)).open() as hop,
        enriching(hop, workers, enrich=Enriching(grows)) as relay,
        talking(relay.port) as client,
    ):
        assert (await client.send(MAIL, ALICE)).startswith("250")

    assert got(hop) == [(paths(ALICE), "original")]
    assert outcomes(relay) == {("passed", "too_large"): 1}


async def test_a_client_that_hangs_up_before_its_mail_is_judged_has_taken_it_back(workers: Workers):
    judging, never = asyncio.Event(), asyncio.Event()

    async def waits(raw: bytes, _found: Recognised, _reader: str) -> Enriched:
        judging.set()
        await never.wait()
        return Enriched(raw)

    async with ScriptedHop().open() as hop, enriching(hop, workers, enrich=Enriching(waits)) as relay:
        async with talking(relay.port) as client:
            await client.begin(ALICE)
            await client.say("DATA")
            client.writer.write(MAIL + b".\r\n")
            await judging.wait()
            client.writer.transport.abort()
        async with talking(relay.port) as client:
            assert (await client.send(MAIL, "bob@example.com")).startswith("250")

    assert got(hop) == [(paths("bob@example.com"), "original")]


async def test_a_mail_that_stalls_a_worker_passes_in_time_while_others_flow(workers: Workers):
    stalling = MAIL + b"x" * 10_000 + b"\r\n"

    async def stalls(raw: bytes, _found: Recognised, _reader: str) -> Enriched:
        if len(raw) > 10_000:
            await workers.call(time.sleep, 60, seconds=1.0)
        return Enriched(raw + BLOCK)

    async with (
        ScriptedHop().open() as hop,
        enriching(hop, workers, enrich=Enriching(stalls)) as relay,
        talking(relay.port) as slow,
        talking(relay.port) as quick,
    ):
        await quick.send(MAIL, ALICE)
        waiting = asyncio.create_task(slow.send(stalling, ALICE))
        meanwhile = 0
        while not waiting.done():
            assert (await quick.send(MAIL, ALICE)).startswith("250")
            meanwhile += 1
        assert (await waiting).startswith("250")

    assert [one for one in hop.delivered if one.content.endswith(stalling)], "as it came"
    assert meanwhile > 1
    assert outcomes(relay) == {("enriched", ""): 1 + meanwhile, ("passed", "time_limit"): 1}
