"""What must hold of any input at all: targets that take bytes, and raise where something broke.

Each knows inputs to begin with, and words that its inputs are made of.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import get_args

import mails
import shop_mails
from handraiser.core.rules.file import read_rules
from handraiser.core.rules.match import ShopRule
from handraiser.core.rules.recognise import Recognised, Unrecognised, recognise
from handraiser.core.splice import html as splicing
from handraiser.core.splice.finished import Blocks, Passes, put_into_mail
from handraiser.core.splice.mime import Mail, read
from handraiser.core.splice.mime_reasons import HtmlReason, Reason
from handraiser.core.splice.places import PlaceRules, Selector
from handraiser.doors.relay import Relay
from handraiser.isolate import Workers
from smtp_talk import CLOSE, SILENT, Client, Enriched, Enriching, ScriptedHop, relaying, talking

Check = Callable[[bytes], None]


@dataclass(frozen=True)
class Target:
    """``open`` gives the check; ``size`` is how long its inputs may grow, bytes."""

    open: Callable[[], AbstractContextManager[Check]]
    seeds: Callable[[], Sequence[bytes]]
    words: Sequence[bytes]
    size: int


# --- a block into HTML -----------------------------------------------------------------------------------------------

HTML_REASONS = set(get_args(HtmlReason))
PLACES = PlaceRules((Selector("td", "append"), Selector("table", "prepend"), Selector("p", "after")))


def html(data: bytes) -> None:
    """One insertion and the block once, or a reason; bytes that are no UTF-8 come as lone surrogates."""
    mail = data.decode("utf-8", "surrogateescape")
    done = splicing.splice(mail, shop_mails.ASK, PLACES if len(mail) % 2 else PlaceRules())
    if isinstance(done, splicing.Spliced):
        assert done.html == mail[: done.offset] + done.inserted + mail[done.offset :]
        # The judge's engine reads UTF-8, in which half a surrogate pair has no place.
        shop_mails.keeps_everything(_whole(mail), replace(done, html=_whole(done.html)))
    else:
        assert done.reason in HTML_REASONS


def _whole(text: str) -> str:
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def html_seeds() -> list[bytes]:
    """Each shop's mail with each fault."""
    return [
        fault(mail).encode("utf-8", "surrogatepass")
        for mail in shop_mails.MAILS.values()
        for fault in shop_mails.FAULTS.values()
    ]


# --- a block into a whole mail ---------------------------------------------------------------------------------------

BLOCKS = Blocks(shop_mails.ASK.html, "Join us\n", "#ffffff", "#22262a", "#1f4d3a", "Helvetica")
RULES = [
    ShopRule("tents", rule)
    for rule in read_rules(
        r"""
version = 1
[[rules]]
id = "order"
type = "order_confirmation"
match = { from = ["@lumen.example", "@tents.example"], json_ld = "Order" }
[[rules]]
id = "mail"
type = "order_confirmation"
copies = ["archive@tents.example"]
match = { from = ["@lumen.example", "@tents.example"] }
[rules.extract]
order_number = { subject = '(\d+)' }
order_value = { text = '= ([\d.,]+)' }
language = { header = "Content-Language" }
"""
    )
]


def mail(data: bytes) -> None:
    """One insertion in each part of the body, everything else as it came, or a reason; and rules read it at ease."""
    assert isinstance(recognise(data, "orders@lumen.example", RULES, max_bytes=10**6), Recognised | Unrecognised)
    done = put_into_mail(data, BLOCKS)
    if isinstance(done, Passes):
        assert done.reason in HTML_REASONS | {*Reason}
        return
    found = read(data)
    assert isinstance(found, Mail)
    words = ({"text/html": "Yes, sign me up"} if found.html else {}) | ({"text/plain": "Join us"} if found.text else {})
    assert mails.differences(data, done, words) == []
    assert put_into_mail(done, BLOCKS) == Passes("already_enriched") or not found.html


# --- a session with the relay ----------------------------------------------------------------------------------------

SECONDS = 30.0
"""Longest that a client may be left without its answer, wall time, on a busy machine."""
BLOCK = b"<p>Block</p>\r\n"
HEALTHY = b"From: orders@elsewhere.example\r\n\r\nThank you.\r\n"
SAYS: Sequence[dict[str, str | list[str]]] = (
    {},
    {"RCPT TO:<bob": "550 5.1.1 no", "RCPT TO:<charlie": "451 4.7.1 later"},
    {".": ["554 5.6.0 looks like advertising"]},
    {".": ["452 4.2.2 full"]},
    {".": [CLOSE]},
    {"RCPT TO:<alice": ["250 OK", "550 5.1.1 not again"]},
    {"RCPT": [CLOSE]},
    {"DATA": ["250 2.0.0 what"]},
    {"MAIL": ["nonsense"]},
    {"RSET": [CLOSE]},
    {"MAIL": [SILENT]},
    {"CONNECT": ["554 5.0.0 not you"]},
)
"""How the next hop may behave; the first byte of an input chooses."""
EXPECTED = {"copies of a mail were not taken"}
RECEIVED = re.compile(rb"Received: from [^\r\n]*\r\n\tby relay\.example with \w+ id (\w+);\r\n\t[^\r\n]*\r\n")
_LINE_END = re.compile(rb"\r\n|\n|\r")


class Listener(logging.Handler):
    """Keeps what is logged as an error: an exception that got out."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() not in EXPECTED:
            self.heard.append(self.format(record))


@contextmanager
def relay() -> Iterator[Check]:
    """A relay, its workers and its next hop, on sockets; each input is what one client says."""
    listener = Listener()
    logging.getLogger().addHandler(listener)
    workers = Workers(1, seconds=SECONDS)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _loop, told: listener.heard.append(repr(told)))
    hop = ScriptedHop()

    async def with_block(raw: bytes, _found: Recognised, _reader: str) -> Enriched:
        return Enriched(raw + BLOCK)

    hop_opened = hop.open()
    loop.run_until_complete(hop_opened.__aenter__())
    given = {"rules": RULES, "enrich": Enriching(with_block), "workers": workers, "relay_connections": 2}
    opened = relaying(hop, relay_hop_seconds=0.3, relay_data_seconds=1.0, mail_bytes=100_000, **given)
    running = loop.run_until_complete(opened.__aenter__())
    try:
        yield lambda data: loop.run_until_complete(session(data, running, hop, listener))
    finally:
        loop.run_until_complete(opened.__aexit__(None, None, None))
        loop.run_until_complete(hop_opened.__aexit__(None, None, None))
        loop.close()
        workers.close()
        logging.getLogger().removeHandler(listener)


async def session(data: bytes, running: Relay, hop: ScriptedHop, listener: Listener) -> None:
    """What one client says, in pieces; then whether it knows the truth, and whether others are still served."""
    behaviour, step, said = data[:1], data[1:2], data[2:] + b"\r\n.\r\nQUIT\r\n"
    hop.says = {name: one[:] for name, one in SAYS[ord(behaviour or b"\0") % len(SAYS)].items()}
    hop.delivered.clear()
    hop.heard.clear()
    size = ord(step or b"\0") or len(said)
    async with asyncio.timeout(SECONDS):
        async with talking(running.port) as client:
            for at in range(0, len(said), size):
                client.writer.write(said[at : at + size])
                await asyncio.sleep(0)
            answers = [answer async for answer in _answers(client)]
        _knows_the_truth(answers, said, hop)
        hop.says = {}
        async with talking(running.port) as client:
            # A busy machine may outlast the relay's patience: whoever is put off tries again.
            while not (said := await client.send(HEALTHY, "alice@example.com")).startswith("250"):
                assert said[:3] in ("451", "503"), f"others are not served: {said}"
                await client.say("RSET")
        while running.sessions or running.deliveries:  # noqa: ASYNC110 - nothing tells when the last one is gone
            await asyncio.sleep(0)
    assert not listener.heard, listener.heard.pop()


async def _answers(client: Client) -> AsyncIterator[str]:
    while said := await client.answer():
        yield said


def _knows_the_truth(answers: Sequence[str], said: bytes, hop: ScriptedHop) -> None:
    for one in answers:
        assert re.fullmatch(r"(?:\d{3}-[ -~]*\n)*\d{3} [ -~]*", one), one
    taken = sum(one.startswith("250 2.0.0 queued") for one in answers)
    ids = set()
    for one in hop.delivered:
        head = RECEIVED.match(one.content)
        assert head, "no mail of ours"
        ids.add(head[1])
        content = one.content[head.end() :].removesuffix(BLOCK)
        assert content.count(b"\r\n") == content.count(b"\r") == content.count(b"\n")
        assert _plain(content) in _plain(said), "another mail than was sent"
    # Whoever goes on babbling is hung up on, and TCP may lose what was answered before.
    bye = bool(answers) and answers[-1].startswith("221")
    assert taken == len(ids) if bye else taken <= len(ids), f"{len(ids)} mails were taken, the client knows of {taken}"


def _plain(content: bytes) -> bytes:
    """Without what SMTP adds to lines and their ends."""
    return b"\n".join(line.lstrip(b".") for line in _LINE_END.split(content))


def relay_seeds() -> list[bytes]:
    """Whole sessions: each behaviour of the hop, in one piece and in small ones."""
    order = b"From: orders@tents.example\r\nTo: alice@example.com\r\nSubject: Order 1001\r\n\r\n..\r\n.x\r\nThanks\r\n"
    begun = b"MAIL FROM:<orders@tents.example>\r\nRCPT TO:<alice@example.com>\r\n"
    more = b"RCPT TO:<archive@tents.example>\r\nRCPT TO:<bob@example.com>\r\nRCPT TO:<charlie@example.com>\r\n"
    once = begun + b"DATA\r\n" + order + b".\r\n"
    sessions = (
        once,
        once + b"RSET\r\n" + once,
        begun + more + b"DATA\r\n" + order + b".\r\n",
        begun + b"RCPT TO:<archive@tents.example>\r\nDATA\r\n" + order + b".\r\n",
        begun + b"DATA\r\n" + order + b"\n.\n" + once,
        begun + b"DATA\r\n" + order + b"\r.\r\n" + once,
        begun + b"DATA\r\n" + order.replace(b"\r\n", b"\n") + b".\r\n.\r\n",
        begun + b"DATA\r\n" + b"Received: x\r\n" * 60 + b".\r\n",
        "MAIL FROM:<böb@tents.example> SMTPUTF8 BODY=8BITMIME SIZE=900\r\nRCPT TO:<ålice@example.com>\r\n".encode(),
        b"HELO x\r\nNOOP\r\nVRFY alice\r\nHELP\r\nAUTH PLAIN AGEAYg==\r\nSTARTTLS\r\nBDAT 5 LAST\r\n" + once,
        b'MAIL FROM:<>\r\nRCPT TO:<"a b"@example.com>\r\nDATA\r\n.\r\n',
    )
    # All of them before a friendly hop, some before each of the others.
    chosen = [(0, one) for one in sessions] + [(n, one) for n in range(1, len(SAYS)) for one in sessions[n % 3 :: 4]]
    return [bytes((n, step)) + one for step, (n, one) in zip(itertools.cycle((0, 7)), chosen, strict=False)]


SMTP_WORDS = (
    "HELO EHLO MAIL RCPT DATA RSET NOOP VRFY HELP AUTH STARTTLS BDAT QUIT FROM:<orders@tents.example> FROM:<> LOGIN"
    " TO:<alice@example.com> TO:<bob@example.com> TO:<archive@tents.example> SIZE=10 BODY=8BITMIME SMTPUTF8 AUTH=<>"
)
ENDS = (b"\r\n", b".\r\n", b"\n.\n", b"\r", b"\n", b" ")
TARGETS = {
    "html": Target(lambda: nullcontext(html), html_seeds, [one.encode() for one in shop_mails.PIECES], 16_000),
    "mail": Target(lambda: nullcontext(mail), lambda: [one.raw for one in mails.every_mail()], mails.PIECES, 16_000),
    "relay": Target(relay, relay_seeds, [*SMTP_WORDS.encode().split(), *ENDS], 2_000),
}
