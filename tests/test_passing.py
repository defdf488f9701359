"""One finished mail judged: what it is, who gets which bytes, and that no fault costs it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

import mails
from handraiser.core.rules.file import read_rules
from handraiser.core.rules.match import ShopRule
from handraiser.core.rules.recognise import Recognised, Unrecognised, recognise
from handraiser.isolate import Workers
from handraiser.passing import Envelope, Passage, Passing
from smtp_talk import Enriched, Enriching
from test_signing import SIGNED, key_pair, verified

ALICE = "alice@example.com"
MAIL = (
    b"From: orders@tents.example\r\nTo: Alice <Alice@Example.com>\r\nSubject: Order 1001\r\n"
    b"Content-Type: text/html\r\n\r\n<p>Total: 89,00</p>\r\n"
)


def rules(extra: str = "") -> list[ShopRule]:
    source = f"""
version = 1
[[rules]]
id = "order"
type = "order_confirmation"
copies = "archive@tents.example"
match = {{ from = ["@tents.example", "@lumen.example"] }}
extract = {{ order_value = {{ text = 'Total: (.*)' }} }}
{extra}
"""
    return [ShopRule("tents", rule) for rule in read_rules(source)]


RESIGN = '[rules.dkim]\npolicy = "resign"\ndomain = "tents.example"\nselector = "s1"\nkey_file = "key.pem"\n'


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    opened = Workers(1, seconds=30)
    yield opened
    opened.close()


async def add(raw: bytes, found: Recognised, reader: str) -> Enriched:
    return Enriched(raw + f"<p>{found.shop} {found.values} {reader}</p>\r\n".encode())


async def judged(
    workers: Workers, raw: bytes = MAIL, *recipients: str, sender: str = "orders@tents.example", **given: object
) -> Passage:
    passing = Passing(**{"rules": rules(), "workers": workers, "enrich": Enriching(add), "max_bytes": 100_000, **given})
    return await passing.mail(raw, Envelope(sender, recipients or (ALICE,)))


async def test_a_mail_of_a_rule_is_enriched_with_what_was_read_for_its_one_reader(workers: Workers):
    passage = await judged(workers, MAIL, "ALICE@example.com", "Archive@tents.example")

    assert passage == Passage(
        MAIL + b"<p>tents {'order_value': '89.00'} ALICE@example.com</p>\r\n",
        "",
        ("Archive@tents.example",),
        "tents",
        "order",
        Enriched(MAIL + b"<p>tents {'order_value': '89.00'} ALICE@example.com</p>\r\n"),
    )


@pytest.mark.parametrize(
    ("raw", "recipients", "reason"),
    [
        (MAIL.replace(b"tents", b"boats"), (ALICE,), "no_rule"),
        (MAIL, (ALICE, "bob@example.com"), "several_recipients"),
        (MAIL, ("archive@tents.example",), "several_recipients"),
        (MAIL, ("bob@example.com",), "to_differs"),
        (MAIL.replace(b"To:", b"Cc:"), (ALICE,), "to_differs"),
        (MAIL.replace(b"To: ", b"To: bob@example.com, "), (ALICE,), "to_differs"),
        (MAIL.replace(b"</p>\r", b"</p>"), (ALICE,), "bare_newlines"),
        (MAIL + b"x" * 100_000, (ALICE,), "too_large"),
        (b"List-Id: <x>\r\n" + MAIL, (ALICE,), "mailing_list"),
        (SIGNED + MAIL, (ALICE,), "dkim_signed"),
    ],
)
async def test_any_doubt_and_the_original_goes_to_everybody(
    workers: Workers, raw: bytes, recipients: tuple[str, ...], reason: str
):
    passage = await judged(workers, raw, *recipients)

    assert (passage.content, passage.reason, passage.copies) == (raw, reason, ())


async def test_the_null_sender_is_never_touched(workers: Workers):
    assert await judged(workers, sender="") == Passage(MAIL, "null_sender")


async def test_without_enriching_every_mail_is_judged_and_passes(workers: Workers):
    assert await judged(workers, enrich=None) == Passage(MAIL, "not_enriched", (), "tents", "order")


async def test_a_reason_of_enriching_is_told(workers: Workers):
    async def refuse(raw: bytes, _found: Recognised, _reader: str) -> Enriched:
        return Enriched(raw, "store_unavailable")

    assert (await judged(workers, enrich=Enriching(refuse))).reason == "store_unavailable"


async def test_no_fault_and_no_stall_of_enriching_costs_the_mail(workers: Workers):
    async def fail(_raw: bytes, _found: Recognised, _reader: str) -> Enriched:
        raise RuntimeError

    async def stall(raw: bytes, _found: Recognised, _reader: str) -> Enriched:
        await workers.call(time.sleep, 60, seconds=0.2)
        return Enriched(raw + b"x")

    assert await judged(workers, enrich=Enriching(fail)) == Passage(MAIL, "failed")
    assert await judged(workers, enrich=Enriching(stall)) == Passage(MAIL, "time_limit")
    assert (await judged(workers)).reason == "", "the worker was started anew"


async def test_signed_mail_is_signed_anew_where_the_rule_says_so(workers: Workers):
    keys = {("tents", "order"): key_pair()[0]}
    passage = await judged(workers, SIGNED + MAIL, rules=rules(RESIGN), keys=keys)

    assert passage.reason == ""
    assert verified(passage.content)
    assert b"<p>tents" in passage.content
    assert passage.content.lower().count(b"\ndkim-signature:") == 0, "the old one is gone"


@pytest.mark.parametrize("keys", [{}, {("tents", "order"): b"no key"}])
async def test_a_mail_that_cannot_be_signed_passes_as_it_is(workers: Workers, keys: dict[tuple[str, str], bytes]):
    enrich = Enriching(add)
    passage = await judged(workers, SIGNED + MAIL, rules=rules(RESIGN), keys=keys, enrich=enrich)

    assert (passage.content, passage.reason) == (SIGNED + MAIL, "signing_failed")
    assert [why for _, why in enrich.unsent] == ["signing_failed"], "nothing stays kept as shown"


def test_every_mail_is_recognised_or_left_alone_for_the_reason_that_reading_gives():
    found = rules()
    for made in mails.every_mail():
        what = recognise(made.raw, "orders@lumen.example", found, max_bytes=10**7)
        if made.reason is None:
            assert what == Recognised("tents", found[0].rule, {}, signed=False) or isinstance(what, Recognised)
        else:
            assert isinstance(what, Unrecognised), made
            assert what.reason in (made.reason, "no_rule")


def test_what_a_rule_that_is_switched_off_would_match_is_nobodys():
    off = [replace(one, rule=one.rule.model_copy(update={"enabled": False})) for one in rules()]

    assert recognise(MAIL, "orders@tents.example", off, max_bytes=10**6) == Unrecognised("no_rule")
