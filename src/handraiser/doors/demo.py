"""The demo's inbox: every email that was composed, every confirmation mail that left, and why."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from aiohttp import web

from handraiser.doors.web import Problem, cached, json_response, read_body
from handraiser.errors import Fault, NotFound

KEPT = 200
SHOWN = 100
BODY_BYTES = 2_000_000
COUNTRIES = {"US": "United States", "NL": "Netherlands", "DE": "Germany"}
PAGE_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
MAIL_CSP = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src http: https: data:; "
    "style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEAD = re.compile(r"<head[^>]*>", re.IGNORECASE)
_PICTURE_HOST = re.compile(r"https://pictures\.[a-z-]+\.example/(?=[a-z0-9-]+\.svg)")
_FILES = {
    "app.js": "text/javascript",
    "app.css": "text/css",
    "icon.svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Caught:
    """One mail of the inbox: ``kind`` is ``email`` (composed for a shop) or ``confirmation`` (our own).

    ``at`` is ms UTC; the ids of company and shop are in hex.

    ``payload`` is what it was made from, so that it can be sent again for another country; None for our own mails.
    """

    id: str
    kind: str
    controller_id: str
    shop_id: str
    shop: str
    shop_name: str
    sender: str
    to: str
    subject: str
    type: str
    at: int
    html: str
    text: str
    locale: str = ""
    country: str = ""
    purpose: str = ""
    ask_url: str = ""
    placements: Sequence[Mapping[str, Any]] = ()
    skipped: Sequence[Mapping[str, Any]] = ()
    warnings: Sequence[Mapping[str, Any]] = ()
    payload: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """Where the reader of a mail stands for the purpose it asked for; ``entries`` is the ledger, oldest first."""

    state: str
    entries: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """An order the demo posts at its start, and offers as a beginning for an own one."""

    name: str
    title: str
    shop: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answered:
    """What the service's own API answered to a posted order."""

    status: int
    body: Mapping[str, Any]
    message_id: str = ""


Send = Callable[[str, bytes, str | None], Awaitable[Answered]]
"""(shop slug, body, Idempotency-Key) -> answer, through the HTTP API."""
Press = Callable[[str], Awaitable[None]]
"""Presses a link's button as a script does."""
Statuses = Callable[[Sequence[Caught], bool], Awaitable[Sequence[Status]]]
"""(mails, with ledger entries?) -> status of each mail's reader, in order."""


@dataclass(slots=True)
class Mailbox:
    """The newest mails, kept as one JSON file each below ``folder``; a mail kept again replaces itself in its place."""

    folder: Path
    kept: int = KEPT
    _mails: dict[str, Caught] = field(default_factory=dict)

    def load(self) -> None:
        """Read what an earlier run kept; a file that cannot be read is left out."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(self.folder.glob("*.json")):
            try:
                mail = Caught(**orjson.loads(path.read_bytes()))
            except (OSError, ValueError, TypeError):
                continue
            self._mails[mail.id] = mail

    def keep(self, mail: Caught) -> None:
        """Take a mail in, and let the oldest go."""
        earlier = self._mails.get(mail.id)
        if earlier is not None:
            mail = replace(mail, at=earlier.at)
        self._mails[mail.id] = mail
        path = self._path(mail)
        fresh = path.with_suffix(".new")
        fresh.write_bytes(orjson.dumps(asdict(mail)))
        fresh.replace(path)
        for old in self.newest(len(self._mails))[self.kept :]:
            del self._mails[old.id]
            self._path(old).unlink(missing_ok=True)

    def __contains__(self, mail_id: str) -> bool:
        return mail_id in self._mails

    def get(self, mail_id: str) -> Caught:
        """The mail of this id; raises :class:`NotFound`."""
        if mail := self._mails.get(mail_id):
            return mail
        raise NotFound("there is no mail of this id")

    def newest(self, limit: int) -> list[Caught]:
        """The newest mails first; of two of the same moment the one that came later."""
        return sorted(self._mails.values(), key=lambda mail: mail.at)[::-1][:limit]

    def _path(self, mail: Caught) -> Path:
        return self.folder / f"{mail.at:015d}-{mail.id}.json"


def for_viewing(html: str, pictures: str) -> str:
    """The email as a mail app shows it: links open beside it, pictures of the invented shops come from ``pictures``."""
    html = _PICTURE_HOST.sub(pictures, html)
    return _HEAD.sub(lambda head: head.group() + '<base target="_blank">', html, count=1)


def moved(payload: Mapping[str, Any], country: str, *, soft_opt_in: bool, fresh: str = "") -> dict[str, Any]:
    """The same order of another, new customer who lives in ``country``: no cap hides what the country changes."""
    copy: dict[str, Any] = json.loads(json.dumps(payload))
    tag = "-".join(part for part in (country.lower(), "soft" if soft_opt_in else "", fresh) if part)
    customer = copy["customer"]
    local, _, domain = customer["email"].rpartition("@")
    customer["email"] = f"{local.split('+')[0]}+{tag}@{domain}"
    customer["country"] = country
    if customer.get("id"):
        customer["id"] = f"{str(customer['id']).split('+')[0]}+{tag}"
    order = copy["order"]
    order["id"] = f"{str(order['id']).split('+')[0]}+{tag}"
    order.setdefault("number", str(payload["order"]["id"]).split("+")[0])
    for name in ("shipping_address", "billing_address"):
        if isinstance(order.get(name), dict):
            order[name]["country"] = country
    copy.pop("soft_opt_in", None)
    if soft_opt_in:
        copy["soft_opt_in"] = {"notice_at_collection": True, "similar_goods": True}
    return copy


class Demo:
    """``/demo`` and what its page asks for. It takes orders only from its own page, and sends them through the API."""

    def __init__(
        self,
        mailbox: Mailbox,
        *,
        files: Mapping[str, bytes],
        samples: Sequence[Sample],
        shops: Mapping[str, str],
        send: Send,
        press: Press,
        statuses: Statuses,
        seconds: float = 10.0,
    ) -> None:
        self._mailbox = mailbox
        self._files = files
        self._samples = samples
        self._shops = shops
        self._send = send
        self._press = press
        self._statuses = statuses
        self._seconds = seconds

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/demo", self.page),
            web.get("/demo/inbox", self.inbox),
            web.get("/demo/samples", self.samples),
            web.get("/demo/static/{name}", self.file),
            web.get("/demo/pictures/{name}", self.picture),
            web.get("/demo/mails/{id}", self.mail),
            web.get("/demo/mails/{id}/html", self.html),
            web.get("/demo/mails/{id}/text", self.text),
            web.post("/demo/mails/{id}/country", self.country),
            web.post("/demo/mails/{id}/script", self.script),
            web.post("/demo/orders", self.order),
        ]

    async def page(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=self._files["index.html"],
            content_type="text/html",
            charset="utf-8",
            headers={"Content-Security-Policy": PAGE_CSP, "Cache-Control": "no-cache"},
        )

    async def file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in _FILES:
            raise NotFound("there is no file of this name")
        return cached(request, self._files[name], _FILES[name])

    async def picture(self, request: web.Request) -> web.Response:
        body = self._files.get(f"pictures/{request.match_info['name']}")
        if body is None:
            raise NotFound("there is no picture of this name")
        response = cached(request, body, "image/svg+xml")
        # An email saved to disk shows them too, so they may be embedded from anywhere.
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return response

    async def inbox(self, request: web.Request) -> web.Response:
        """The list, light enough to be asked for every second; 304 while nothing changed."""
        mails = self._mailbox.newest(SHOWN)
        statuses = await self._statuses(mails, False)
        body = [_summary(mail, status) for mail, status in zip(mails, statuses, strict=True)]
        return cached(request, orjson.dumps({"mails": body, "shops": self._shops}), "application/json")

    async def samples(self, _request: web.Request) -> web.Response:
        return json_response([asdict(sample) for sample in self._samples])

    async def mail(self, request: web.Request) -> web.Response:
        mail = self._mail(request)
        status = (await self._statuses([mail], True))[0]
        body = _summary(mail, status) | {
            "locale": mail.locale,
            "ask_url": mail.ask_url,
            "placements": mail.placements,
            "skipped": mail.skipped,
            "warnings": mail.warnings,
            "entries": status.entries,
            "soft_opt_in": bool((mail.payload or {}).get("soft_opt_in")),
            "countries": COUNTRIES if mail.payload else {},
        }
        return cached(request, orjson.dumps(body), "application/json")

    async def html(self, request: web.Request) -> web.Response:
        shown = for_viewing(self._mail(request).html, "/demo/pictures/")
        headers = {"Content-Security-Policy": MAIL_CSP, "X-Frame-Options": "SAMEORIGIN", "Cache-Control": "no-cache"}
        return web.Response(text=shown, content_type="text/html", charset="utf-8", headers=headers)

    async def text(self, request: web.Request) -> web.Response:
        return web.Response(text=self._mail(request).text, content_type="text/plain", charset="utf-8")

    async def country(self, request: web.Request) -> web.Response:
        """Send the mail's order again as if its customer lived elsewhere; the same choice shows the same mail again."""
        wish = await self._read(request)
        mail = self._mail(request)
        country, soft = wish.get("country"), wish.get("soft_opt_in") is True
        if mail.payload is None or not isinstance(country, str) or country not in COUNTRIES:
            raise Problem(422, faults=[Fault("/country", "bad_value", "one of " + ", ".join(COUNTRIES))])
        fresh = secrets.token_hex(3) if wish.get("fresh") is True else ""
        body = orjson.dumps(moved(mail.payload, country, soft_opt_in=soft, fresh=fresh))
        key = "demo-country-" + hashlib.sha256(mail.shop.encode() + body).hexdigest()[:32]
        return _told(await self._send(mail.shop, body, key))

    async def script(self, request: web.Request) -> web.Response:
        """Let a script press the button behind the mail's link, to show that this alone is no yes."""
        await self._read(request)
        mail = self._mail(request)
        if not mail.ask_url:
            raise Problem(422, "There is no ask in this email.")
        await self._press(mail.ask_url)
        return json_response({"mail": mail.id})

    async def order(self, request: web.Request) -> web.Response:
        """Send an own order, as it was typed."""
        wish = await self._read(request)
        shop, text = wish.get("shop"), wish.get("order")
        if not isinstance(shop, str) or shop not in self._shops or not isinstance(text, str):
            raise Problem(422, faults=[Fault("/shop", "bad_value", "one of " + ", ".join(self._shops))])
        return _told(await self._send(shop, text.encode("utf-8", "surrogatepass"), None))

    def _mail(self, request: web.Request) -> Caught:
        mail_id = request.match_info["id"]
        if not _ID.fullmatch(mail_id):
            raise NotFound("there is no mail of this id")
        return self._mailbox.get(mail_id)

    async def _read(self, request: web.Request) -> dict[str, Any]:
        """The JSON of a press on the page; another site's (or a rebound name's) request is refused."""
        if request.content_type != "application/json":
            raise Problem(415, "Send application/json.")
        origin = request.headers.get("Origin")
        same = request.headers.get("Sec-Fetch-Site", "same-origin") == "same-origin" and (
            origin is None or urlsplit(origin).netloc == request.host
        )
        if not same or not _is_ours(request.host):
            raise Problem(403, "Only the demo's own page may send from here.")
        try:
            wish = orjson.loads(await read_body(request, BODY_BYTES, self._seconds))
        except orjson.JSONDecodeError:
            raise Problem(400, "This is not JSON.") from None
        if not isinstance(wish, dict):
            raise Problem(400, "Send a JSON object.")
        return wish


def _summary(mail: Caught, status: Status) -> dict[str, Any]:
    return {
        "id": mail.id,
        "kind": mail.kind,
        "shop": mail.shop,
        "shop_name": mail.shop_name,
        "sender": mail.sender,
        "to": mail.to,
        "subject": mail.subject,
        "preview": " ".join(mail.text[:600].split())[:160],
        "type": mail.type,
        "at": mail.at,
        "country": mail.country,
        "asks": bool(mail.ask_url),
        "purpose": mail.purpose,
        "warned": len(mail.warnings),
        "state": status.state,
    }


def _told(answer: Answered) -> web.Response:
    """The API's answer for the page: without the mail itself, which the page asks for by its id."""
    left_out = ("html", "text", "headers")
    body = {name: value for name, value in answer.body.items() if name not in left_out}
    return json_response({"status": answer.status, "mail": answer.message_id, "answer": body})


def _is_ours(host: str) -> bool:
    """An address, or a name below localhost: no other name can have been pointed at this machine behind our back."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
