"""``handraiser demo``: two shops on an embedded database, real orders through the HTTP API, and an inbox to look at."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import shlex
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import click
import orjson

from handraiser.app import Service, clock, open_service
from handraiser.core.shop import Shop
from handraiser.doors.catcher import Catcher, Loopback
from handraiser.doors.demo import Answered, Caught, Demo, Mailbox, Sample, for_viewing, moved
from handraiser.errors import HandraiserError
from handraiser.opening import run, web_app
from handraiser.settings import Settings
from handraiser.store.access import SCOPES, split
from handraiser.store.keeper import Keeper

SHOPS = {"fjell-fjord": "fjell", "lamp-lumen": "lamp"}
"""Slug of each demo shop and the first label of its host name below localhost."""
SHOWN_FIRST = "us-order"
API_SECONDS = 30.0
FRESH_DAYS = 25
"""A sample older than this is posted again: the links of its mail live 30 days."""
_HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')
_EVERYWHERE = ("localhost", "0.0.0.0", "::")  # noqa: S104 - compared with, not listened on
_LOOPBACK = ("127.0.0.1", "::1", *_EVERYWHERE)


class DemoFailed(HandraiserError):
    """The demo cannot show what it should; the text says why."""


async def run_demo(settings: Settings, *, as_json: bool = False) -> None:
    """Start the demo, post its samples once, print where to look, and serve until SIGTERM or Ctrl-C.

    ``as_json`` prints one line ``{base_url, api_key, email_html, opt_in_url, console_url}`` when ready. What it made
    (database, keys, mails) stays in ``settings.state_dir``; a second start finds it again and posts nothing twice.
    Raises :class:`DemoFailed` when there is nothing to show.
    """
    _may_listen(settings)
    if settings.log_level == "INFO":  # a person reads this terminal
        logging.getLogger("handraiser").setLevel(logging.WARNING)
    files = DemoFiles.read(settings.templates / "demo")
    keeper = Keeper.open(settings.state_dir / "demo")
    waiting = asyncio.create_task(_ask_for_patience())
    # No load balancer has to notice that a demo stops, so nothing is waited for.
    loopback = Loopback()
    async with (
        loopback.open() as smtp_url,
        open_service(settings.model_copy(update={"drain_seconds": 0.0, "smtp_url": smtp_url})) as service,
    ):
        settings = service.settings
        shops = [await _shop(service, slug, settings) for slug in SHOPS]
        for controller_id in {shop.controller.id for shop in shops}:
            await service.publish.put_starter(controller_id)
        await service.publish.refresh()
        if service.publish.faults:
            raise DemoFailed("\n".join(service.publish.faults))
        keys = {shop.slug: await _key(service, keeper, shop.slug) for shop in shops}
        mailbox = Mailbox(settings.state_dir / "demo" / "mails")
        mailbox.load()
        catcher = Catcher(
            mailbox,
            database=service.database,
            shops=shops,
            pepper=settings.keys("pepper")[-1][1],
        )
        loopback.taken_by(catcher.received)
        service.enrich.observers.append(catcher.composed)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=API_SECONDS)) as session:
            sender = Sender(session, _base(settings), keys)
            door = Demo(
                mailbox,
                files=files.served,
                samples=files.samples,
                shops={shop.slug: shop.name for shop in shops},
                send=sender.send,
                press=sender.press_as_script,
                statuses=catcher.statuses,
                seconds=settings.body_seconds,
            )

            async def ready() -> None:
                first = await _post_samples(sender, keeper, mailbox, files.samples)
                waiting.cancel()
                await asyncio.wait([waiting])
                _tell(settings, keys, first, as_json=as_json)

            await run(service, web_app(service, door.routes()), ready)


def _may_listen(settings: Settings) -> None:
    """Raise :class:`DemoFailed` now, rather than after everything was compiled, when the port is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        socket.create_server((settings.host.strip("[]"), settings.port), family=family).close()
    except OSError as error:
        raise DemoFailed(
            f"cannot listen on {settings.listen}: {error.strerror}; "
            f"choose another port with --listen 127.0.0.1:{settings.port % 60_000 + 1}, or HANDRAISER_LISTEN"
        ) from None


async def _ask_for_patience() -> None:
    """Say on standard error that the first start takes a while, and then that it goes on, until cancelled."""
    await asyncio.sleep(1)
    click.echo(
        "Loading two shops; the first start compiles their emails and blocks, some 20 seconds .", nl=False, err=True
    )
    try:
        while True:
            await asyncio.sleep(1)
            click.echo(".", nl=False, err=True)
    finally:
        click.echo(err=True)


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """What ``templates/demo`` holds: the page's files and the samples."""

    served: Mapping[str, bytes]
    samples: Sequence[Sample]

    @classmethod
    def read(cls, folder: Any) -> DemoFiles:
        """Read the folder (a path, or files inside an installed package)."""
        served = {name: folder.joinpath(name).read_bytes() for name in ("index.html", "app.js", "app.css", "icon.svg")}
        for picture in folder.joinpath("pictures").iterdir():
            served[f"pictures/{picture.name}"] = picture.read_bytes()
        samples = [
            Sample(name=file.name.removesuffix(".json"), **orjson.loads(file.read_bytes()))
            for file in sorted(folder.joinpath("orders").iterdir(), key=lambda file: file.name)
        ]
        return cls(served, samples)


@dataclass(frozen=True, slots=True)
class Sender:
    """Posts orders through the service's own HTTP API, as a shop would."""

    session: aiohttp.ClientSession
    base_url: str
    keys: Mapping[str, str]

    async def send(self, shop: str, body: bytes, key: str | None) -> Answered:
        headers = {"Authorization": f"Bearer {self.keys[shop]}", "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        async with self.session.post(f"{self.base_url}/v1/emails", data=body, headers=headers) as response:
            answer = orjson.loads(await response.read())
        return Answered(response.status, answer, answer.get("message_id") or "")

    async def press_as_script(self, url: str) -> None:
        """Open a link and send its form as a program does: with its nonce, without a sign of a person."""
        parts = urlsplit(url)
        here, headers = f"{self.base_url}{parts.path}", {"Host": parts.netloc, "User-Agent": "Mozilla/5.0 (a script)"}
        async with self.session.get(here, headers=headers) as page:
            fields = dict(_HIDDEN.findall(await page.text()))
        async with self.session.post(here, data=fields | {"action": "yes"}, headers=headers) as told:
            await told.read()


def _base(settings: Settings) -> str:
    """Where a program on this machine reaches the service."""
    if settings.host in _EVERYWHERE:
        return f"http://127.0.0.1:{settings.port}"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"


def link_base(settings: Settings, slug: str) -> str:
    """A shop's own origin: a name below localhost, unless the demo stands behind a public one."""
    if settings.public_url or settings.host not in _LOOPBACK:
        return settings.origin
    return f"http://{SHOPS[slug]}.localhost:{settings.port}"


async def _shop(service: Service, slug: str, settings: Settings) -> Shop:
    """The shop as its file describes it now."""
    source = (settings.templates / "shops" / slug / "shop.toml").read_text(encoding="utf-8")
    shop: Shop = await service.govern.add_shop(source, slug=slug, link_base=link_base(settings, slug))
    return shop


async def _key(service: Service, keeper: Keeper, slug: str) -> str:
    """The shop's API key: the one of an earlier start while the database knows it, else a new one."""
    kept: dict[str, str] = keeper.values.get("api_keys", {})
    parts = split(kept.get(slug, ""))
    if parts is None or await service.govern.find_key(parts[0]) is None:
        key = await service.govern.add_key(slug, sorted(SCOPES), name="demo")
        keeper.keep("api_keys", {**kept, slug: key})
        return key
    return kept[slug]


@dataclass(frozen=True, slots=True)
class First:
    """A sample's mail, and where its HTML lies to be opened."""

    mail: Caught
    email_html: Path


async def _post_samples(sender: Sender, keeper: Keeper, mailbox: Mailbox, samples: Sequence[Sample]) -> First:
    """Post what an earlier start did not, and choose the mail to show first: it holds an ask."""
    for anew in (False, True):
        firsts = [await _first(sender, keeper, mailbox, sample, anew=anew) for sample in samples]
        asking = [first for first in firsts if first.mail.ask_url]
        if asking:
            return max(asking, key=lambda first: SHOWN_FIRST in first.email_html.name)
    raise DemoFailed("no sample holds an ask; `handraiser check` says what is wrong with the blocks")


async def _first(sender: Sender, keeper: Keeper, mailbox: Mailbox, sample: Sample, *, anew: bool) -> First:
    """The sample's mail of an earlier start, or a new one.

    What was posted is remembered here, because an Idempotency-Key is forgotten after days. A sample that changed, whose
    mail is gone, or whose links come to their end, is posted again for a new customer: the first was asked already.
    """
    kept: dict[str, dict[str, Any]] = keeper.values.get("samples", {})
    key = sender.keys[sample.shop]
    digest = sha256(key.encode() + orjson.dumps(sample.payload)).hexdigest()[:16]
    known = kept.get(sample.name, {"round": -1, "digest": "", "mail": ""})
    mail = mailbox.get(known["mail"]) if known["digest"] == digest and known["mail"] in mailbox else None
    if mail is None or anew or mail.at < clock() - FRESH_DAYS * 86_400_000:
        turn = known["round"] + 1
        country, soft = sample.payload["customer"]["country"], "soft_opt_in" in sample.payload
        payload = moved(sample.payload, country, soft_opt_in=soft, fresh=str(turn)) if turn else sample.payload
        answer = await sender.send(sample.shop, orjson.dumps(payload), f"demo-{sample.name}-{digest}-{turn}")
        if answer.message_id not in mailbox:
            raise DemoFailed(f"sample {sample.name}: {answer.status} {json.dumps(answer.body, ensure_ascii=False)}")
        mail = mailbox.get(answer.message_id)
        keeper.keep("samples", kept | {sample.name: {"round": turn, "digest": digest, "mail": mail.id}})
    path = keeper.path.parent / f"{sample.name}.html"
    path.write_text(for_viewing(mail.html, f"{sender.base_url}/demo/pictures/"), encoding="utf-8")
    return First(mail, path.absolute())


def curl_line(base_url: str, key: str) -> str:
    """A shell line that composes an order's email as pasted: with a time-out, as every client should have."""
    order = {
        "type": "order_confirmation",
        "customer": {"email": "charlie@example.com", "first_name": "Charlie", "locale": "en", "country": "US"},
        "order": {
            "id": "1001",
            "currency": "USD",
            "lines": [{"name": "Tent", "quantity": 1, "unit_price": "199.00", "total": "199.00"}],
            "total": "199.00",
        },
    }
    return (
        f"curl --max-time 5 -sS {base_url}/v1/emails -H {shlex.quote(f'Authorization: Bearer {key}')}"
        f" -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(order))}"
    )


def _tell(settings: Settings, keys: Mapping[str, str], first: First, *, as_json: bool) -> None:
    base_url, main_key = _base(settings), keys[next(iter(SHOPS))]
    if as_json:
        line = {
            "base_url": base_url,
            "api_key": main_key,
            "email_html": str(first.email_html),
            "opt_in_url": first.mail.ask_url,
            "console_url": f"{base_url}/demo",
        }
        click.echo(json.dumps(line))
        return
    rows = [
        ("Inbox", f"{base_url}/demo"),
        ("Email", str(first.email_html)),
        ("Press this", first.mail.ask_url),
        *[("API key" if key == main_key else "", f"{key}   ({slug})") for slug, key in keys.items()],
        ("Reference", f"{base_url}/docs"),
    ]
    names = [
        host for slug in SHOPS if (host := urlsplit(link_base(settings, slug)).hostname or "").endswith(".localhost")
    ]
    lines = ["", "handraiser demo is ready. Nothing it composes leaves this machine.", ""]
    lines += [f"{name:<12}{value}" for name, value in rows]
    if names:
        lines += ["", "Browsers and curl know that names below localhost are this machine. For a tool that does not"]
        lines += [f"(older Safari, wget), add to /etc/hosts:  127.0.0.1 {' '.join(names)}"]
    lines += ["", "Paste this into another terminal; the email appears in the inbox:"]
    click.echo("\n".join(f"  {line}".rstrip() for line in lines))
    click.echo(f"\n{curl_line(base_url, main_key)}\n\n  Ctrl-C stops; everything is kept for the next start.\n")
