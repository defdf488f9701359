"""``handraiser demo``: two shops on an embedded database, real orders through the HTTP API, and an inbox to look at."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import click
import orjson

from handraiser.app import Service, open_service, run, web_app
from handraiser.core.shop import Shop
from handraiser.doors.catcher import Catcher
from handraiser.doors.demo import Answered, Demo, Mailbox, Sample, for_viewing
from handraiser.errors import HandraiserError
from handraiser.settings import Settings
from handraiser.store.access import SCOPES, split
from handraiser.store.keeper import Keeper

SHOPS = {"fjell-fjord": "fjell", "lamp-lumen": "lamp"}
"""Slug of each demo shop and the first label of its host name below localhost."""
SHOWN_FIRST = "us-order"
API_SECONDS = 30.0
_EVERYWHERE = ("localhost", "0.0.0.0", "::")  # noqa: S104 - compared with, not listened on
_LOOPBACK = ("127.0.0.1", "::1", *_EVERYWHERE)


class DemoFailed(HandraiserError):
    """The demo cannot show what it should; the text says why."""


async def run_demo(settings: Settings, *, as_json: bool = False) -> None:
    """Start the demo, post its samples once, print where to look, and serve until SIGTERM or Ctrl-C.

    ``as_json`` prints one line ``{base_url, api_key, email_html, opt_in_url, console_url}`` when ready. What it made
    (database, keys, mails) stays in ``settings.state_dir``; a second start finds it again and posts nothing twice.
    """
    files = DemoFiles.read(settings.templates / "demo")
    keeper = Keeper.open(settings.state_dir / "demo")
    async with open_service(settings) as service:
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
        pepper = settings.keys("pepper")[-1][1]
        catcher = Catcher(
            mailbox,
            database=service.database,
            links=service.links,
            shops=shops,
            pepper=pepper,
            confirmation=files.confirmation,
        )
        service.enrich.observers.append(catcher.composed)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=API_SECONDS)) as session:
            sender = Sender(session, _base(settings), keys)
            door = Demo(
                mailbox,
                files=files.served,
                samples=files.samples,
                shops={shop.slug: shop.name for shop in shops},
                send=sender.send,
                statuses=catcher.statuses,
                collect=catcher.collect,
                seconds=settings.body_seconds,
            )

            async def ready() -> None:
                first = await _post_samples(sender, files.samples, settings.state_dir / "demo")
                _tell(_base(settings), keys, first, as_json=as_json)

            await run(service, web_app(service, door.routes()), ready)


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """What ``templates/demo`` holds: the page's files, the samples and the confirmation mail's template."""

    served: Mapping[str, bytes]
    samples: Sequence[Sample]
    confirmation: str

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
        return cls(served, samples, folder.joinpath("confirmation.html").read_text(encoding="utf-8"))


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
class _First:
    """What the first mail with an ask gives to look at."""

    email_html: Path
    opt_in_url: str


async def _post_samples(sender: Sender, samples: Sequence[Sample], folder: Path) -> _First:
    """Post every sample under a key made of its content, so that a second start finds the same mails again."""
    firsts: list[_First] = []
    for sample in samples:
        body = orjson.dumps(sample.payload)
        answer = await sender.send(sample.shop, body, f"demo-{sample.name}-{sha256(body).hexdigest()[:16]}")
        if answer.status != 200:
            raise DemoFailed(f"sample {sample.name}: {answer.status} {json.dumps(answer.body, ensure_ascii=False)}")
        path = folder / f"{sample.name}.html"
        path.write_text(for_viewing(answer.body["html"], f"{sender.base_url}/demo/pictures/"), encoding="utf-8")
        url = next((placed["url"] for placed in answer.body["placements"] if placed.get("url")), "")
        firsts.append(_First(path.absolute(), url))
    if not any(first.opt_in_url for first in firsts):
        raise DemoFailed("no sample holds an ask; `handraiser check` says what is wrong with the blocks")
    return max((first for first in firsts if first.opt_in_url), key=lambda first: SHOWN_FIRST in first.email_html.name)


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


def _tell(base_url: str, keys: Mapping[str, str], first: _First, *, as_json: bool) -> None:
    main_key = keys[next(iter(SHOPS))]
    if as_json:
        line = {
            "base_url": base_url,
            "api_key": main_key,
            "email_html": str(first.email_html),
            "opt_in_url": first.opt_in_url,
            "console_url": f"{base_url}/demo",
        }
        click.echo(json.dumps(line))
        return
    others = [f"              {key}   ({slug})" for slug, key in keys.items() if key != main_key]
    click.echo(
        "\n".join(
            [
                "",
                "  handraiser demo is ready. Nothing it composes leaves this machine.",
                "",
                f"  Inbox       {base_url}/demo",
                f"  Email       {first.email_html}",
                f"  Press this  {first.opt_in_url}",
                f"  API key     {main_key}   ({next(iter(SHOPS))})",
                *others,
                f"  Reference   {base_url}/docs",
                "",
                "  Paste this into another terminal; the email appears in the inbox:",
                "",
                curl_line(base_url, main_key),
                "",
                "  Ctrl-C stops; everything is kept for the next start.",
                "",
            ]
        )
    )
