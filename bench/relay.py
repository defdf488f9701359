"""Finished mail through the relay: passing and enriched, against a Postfix that only relays, to the same hop; and how
long other mail takes while mail comes that parsers choke on."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from html import escape
from typing import Any

from bench import scene, smtp
from bench.post import ROOT, Road, free_port

SESSIONS = 20
SHOP = "fjell-fjord.example"
_numbers = itertools.count(int(time.time()) % 10_000_000 * 1000)


@dataclass(slots=True)
class Hostile:
    """Milliseconds of other mail's slowest hundredth: without, and while hostile mail comes; of that mail the longest
    that one took, and how many came through."""

    without: float
    beside: float
    longest: float
    mails: int


@dataclass(slots=True)
class Relayed:
    """The three roads, and what hostile mail does to others."""

    passing: Road
    enriching: Road
    postfix: Road
    hostile: Hostile
    mail_bytes: int


def measure(state: scene.State, *, rounds: int, seconds: float) -> Relayed | str:
    """Rounds of all roads in turn; or why there is nothing to compare with."""
    if reason := smtp.missing():
        return reason
    with smtp.sink() as hop, smtp.postfix(hop) as peer, relaying(state, hop) as relay:
        return asyncio.run(_measure(peer, relay, rounds, seconds))


async def _measure(peer: smtp.Postfix, relay: Relay, rounds: int, seconds: float) -> Relayed:
    passing, enriching, postfix = Road(), Road(), Road()
    roads: list[tuple[Road, int, int, Callable[[], smtp.Mail]]] = [
        (postfix, peer.port, peer.pid, partial(a_mail, "news")),
        (passing, relay.port, relay.pid, partial(a_mail, "news")),
        (enriching, relay.port, relay.pid, partial(a_mail, "orders")),
    ]
    enriched = 0
    for _, port, _, mails in roads:
        await smtp.send(port, mails, sessions=SESSIONS, seconds=seconds / 2)
    await peer.drained()
    begun = relay.count("enriched")
    for _ in range(rounds):
        for road, port, pid, mails in roads:
            start, used = time.perf_counter(), smtp.cpu(pid)
            sent = await smtp.send(port, mails, sessions=SESSIONS, seconds=seconds)
            if road is postfix:
                await peer.drained()  # what waits there has not arrived
            road.rates.append(sent.mails / (time.perf_counter() - start))
            road.cpu.append((smtp.cpu(pid) - used) / sent.mails * 1e6)
            enriched += sent.mails * (road is enriching)
    if relay.count("enriched") - begun < enriched:
        raise RuntimeError("not every mail that should have been enriched was")
    return Relayed(passing, enriching, postfix, await _beside(relay, 3 * seconds), len(a_mail("orders")[2]))


async def _beside(relay: Relay, seconds: float) -> Hostile:
    others = partial(a_mail, "orders")
    without = await smtp.send(relay.port, others, sessions=4, seconds=seconds, pause=0.1)
    begun = relay.count("enriched")
    beside, *sent = await asyncio.gather(
        smtp.send(relay.port, others, sessions=4, seconds=seconds, pause=0.1),
        *(
            smtp.send(relay.port, partial(a_mail, "orders", html), sessions=1, seconds=seconds)
            for html in (DIVS, TABLES)
        ),
    )
    if relay.count("enriched") - begun > beside.mails:
        raise RuntimeError("a hostile mail was not passed as it was")
    taken = [one for load in sent for one in load.taken]
    return Hostile(_slowest(without.taken), _slowest(beside.taken), max(taken), len(taken))


def _slowest(taken: list[float]) -> float:
    return sorted(taken)[int(len(taken) * 0.99)]


# --- mails -----------------------------------------------------------------------------------------------------------

_ROW = (
    '<tr><td style="padding:12px 8px;border-bottom:1px solid #e5e5e5;font-family:Helvetica,Arial,sans-serif;'
    'font-size:14px;color:#333333"><strong>{name}</strong><br><span style="color:#777777">{sku}, {options}</span></td>'
    '<td align="right" style="padding:12px 8px;border-bottom:1px solid #e5e5e5;font-family:Helvetica,Arial,sans-serif;'
    'font-size:14px;color:#333333">{quantity} x ${unit_price}</td></tr>\n'
)


def _options(line: dict[str, Any]) -> str:
    return ", ".join(one["value"] for one in line["options"]) or "one size"


def shop_html() -> str:
    """An order mail as a shop system writes it: a column of 600 pixels, a row a line, a footer."""
    order = scene.an_order(1)["order"]
    rows = "".join(
        _ROW.format_map({**line, "name": escape(line["name"]), "options": _options(line)}) for line in order["lines"]
    )
    return (
        "<!DOCTYPE html><html><head><title>Your order</title><style>@media (max-width:620px) {.c {width:100%}}"
        '</style></head><body style="margin:0;background-color:#f5f5f5"><table width="100%"><tr><td align="center">'
        '<table class="c" width="600" cellpadding="0" cellspacing="0" style="background-color:#ffffff">\n'
        '<tr><td style="padding:24px"><h1 style="font-size:22px">Thank you for your order</h1>'
        f"<p>We are packing it.</p></td></tr>\n<tr><td><table width='100%'>{rows}</table></td></tr>\n"
        f'<tr><td align="right" style="padding:16px">Total: ${order["total"]}</td></tr>\n'
        '<tr><td style="padding:24px;font-size:12px;color:#888888">Fjell &amp; Fjord. Any questions? Write to '
        '<a href="mailto:help@fjell-fjord.example">us</a>. Imprint</td></tr></table></td></tr></table></body></html>\n'
    )


DIVS = "<html><body>" + "<div>" * 100_000 + "Total: $1</body></html>"
TABLES = "<html><body>" + "<table><tr><td>Lamp<td>1.00</table>" * 57_000 + "Total: $1</body></html>"
"""Half a megabyte of unclosed elements, and two megabytes of tables."""


@cache
def _template(html: str) -> tuple[bytes, bytes]:
    """A mail of text and HTML ("" is the shop's): its head, in which its order's number is to be put, and the rest."""
    coded = base64.encodebytes((html or shop_html()).encode()).replace(b"\n", b"\r\n")
    head = (
        "From: Fjell & Fjord <{sender}@{shop}>\r\nTo: Alice <alice.{n}@example.com>\r\nSubject: Your order {n}\r\n"
        "Message-ID: <{n}.{sender}@{shop}>\r\nDate: Fri, 27 Nov 2026 05:00:00 +0100\r\nX-Customer-Type: first\r\n"
        "X-Customer-Country: US\r\nX-Customer-Id: C-{n}\r\nContent-Language: en\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/alternative; boundary="b1"\r\n\r\n'
        "--b1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        "Thank you for your order {n}.\r\n\r\nTotal: $1,072.25\r\n\r\n-- \r\nFjell & Fjord\r\n"
        "--b1\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    )
    return head.replace("{shop}", SHOP).encode(), coded + b"--b1--\r\n"


def a_mail(sender: str, html: str = "") -> smtp.Mail:
    """Another order's mail each time; of ``orders`` the shop's rules know what it is, nobody knows ``news``."""
    head, body = _template(html)
    n = next(_numbers)
    head = head.replace(b"{n}", str(n).encode()).replace(b"{sender}", sender.encode())
    return f"{sender}@{SHOP}", f"alice.{n}@example.com", head + body


# --- our side --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Relay:
    """``handraiser serve --relay``: the SMTP port, the HTTP port, the serving process."""

    port: int
    http: int
    pid: int

    def count(self, outcome: str) -> int:
        """How many mails came to this, as its own metrics tell."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics") as answer:
            told = answer.read().decode()
        return sum(int(float(n)) for n in re.findall(rf'handraiser_relayed_total{{outcome="{outcome}".*}} (\S+)', told))


@contextmanager
def relaying(state: scene.State, hop: int) -> Iterator[Relay]:
    """One relay process with two enrichment workers, before the sink; on all cores, as the Postfix is."""
    port, http = free_port(), free_port()
    environment = {
        **os.environ,
        "HANDRAISER_STATE_DIR": str(state.folder),
        "HANDRAISER_TEMPLATES_DIR": str(scene.TEMPLATES),
        "HANDRAISER_LISTEN": f"127.0.0.1:{http}",
        "HANDRAISER_RELAY_LISTEN": f"127.0.0.1:{port}",
        "HANDRAISER_RELAY_NEXT_HOP": f"smtp://127.0.0.1:{hop}",
        "HANDRAISER_RELAY_NEXT_HOP_TLS": "off",
        "HANDRAISER_ENRICH_WORKERS": "2",
        "HANDRAISER_DRAIN_SECONDS": "0",
    }
    command = [sys.executable, "-m", "handraiser", "serve", "--relay"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        smtp.await_greeting(port)
        yield Relay(port, http, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
