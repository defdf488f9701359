"""What the customer's pages share: language, template, security headers, and forms that prove to be our own."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2
from aiohttp import web
from aiohttp.typedefs import Handler
from markupsafe import Markup

from handraiser.answer import Opened
from handraiser.core.shop import Brand, Shop
from handraiser.doors import page_notices as notices
from handraiser.doors.page_forms import fields_of, headers_of, must_be_form
from handraiser.doors.page_texts import Page, Voice
from handraiser.doors.web import Problem, read_body
from handraiser.errors import TooMany
from handraiser.settings import Settings

BODY_LIMIT = 4096
LEAVE_SECONDS = 3.0
_COLOUR = re.compile(r"#[0-9A-Fa-f]{3,8}")
_FONT = re.compile(r"[A-Za-z0-9 ,'\"_-]{1,200}")
_LANGUAGE = re.compile(r"([A-Za-z]{2,3})(?:-[A-Za-z0-9-]+)?\s*(?:;\s*q=([01](?:\.\d{0,3})?))?")

# Stand where nonces will: the page is hashed with them blank, and served with them filled.
_CSP, _NONCE, _NOTICE = "\ue001", "\ue002", "\ue003"
_BLANK = {ord(mark): "" for mark in (_CSP, _NONCE, _NOTICE)}


class Frame:
    """Renders the pages and reads their forms; it decides nothing."""

    def __init__(
        self,
        *,
        nonce: Callable[[Opened, bytes], str],
        templates: Path,
        words: Callable[[str], Mapping[str, str]],
        settings: Settings,
    ) -> None:
        """``nonce`` makes what a form must send back, for a link and the page as served; ``templates`` is the root that
        holds ``pages/`` and ``static/``; ``words`` gives a language's catalogue."""
        self._nonce, self._words, self._settings = nonce, words, settings
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(templates / "pages"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        # A new file is a new address, so browsers may keep the old one for good.
        self._files = {
            name: f"/static/{name}?v={hashlib.sha256((templates / 'static' / name).read_bytes()).hexdigest()[:12]}"
            for name in ("pages.css", "pages.js")
        }

    def unhurried(self, handler: Handler) -> Handler:
        """Tell who comes too often to come again later."""

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except TooMany as error:
                said = self.plain(request, None, notices.too_many, 429)
                said.headers["Retry-After"] = str(error.seconds)
                return said

        return handle

    async def form(self, request: web.Request) -> dict[str, str]:
        """The fields of the body; raises :class:`Problem` for another type (415), size (413) or what is no form."""
        must_be_form(request)
        return fields_of(await read_body(request, BODY_LIMIT, self._settings.body_seconds))

    async def any_body(self, request: web.Request) -> bytes | None:
        """The body of somebody who may be leaving, whatever its type; None where it cannot be read."""
        try:
            return await read_body(request, BODY_LIMIT, min(LEAVE_SECONDS, self._settings.body_seconds))
        except Problem:
            return None

    def voice(self, request: web.Request, shop: Shop | None, locale: str | None = None) -> Voice:
        """The email's language; where that is not known the browser's, as far as the shop writes it."""
        offered = shop.locales if shop else ()
        chosen = locale or _preferred(request, lambda tag: tag in offered if offered else bool(self._words(tag)))
        chosen = chosen or (shop.default_locale if shop else "en")
        return Voice(chosen, self._words(chosen), shop.time_zone if shop else "UTC")

    def unknown(self, request: web.Request) -> web.Response:
        """No link of ours."""
        return self.plain(request, None, notices.unknown, 404)

    def plain(
        self, request: web.Request, shop: Shop | None, page: Callable[[Voice], Page], status: int
    ) -> web.Response:
        """A page that says one thing, in the browser's language."""
        voice = self.voice(request, shop)
        return self.response(request, voice, shop, page(voice), status)

    def response(
        self,
        request: web.Request,
        voice: Voice,
        shop: Shop | None,
        page: Page,
        status: int = 200,
        *,
        opened: Opened | None = None,
        template: str = "page.html",
        **more: Any,
    ) -> web.Response:
        """A page; with ``opened`` its form proves to be of this link, this page and this hour. ``more`` are what the
        template reads beside it: ``language`` of what was promised, ``trap``, ``automatic``."""
        html = self._templates.get_template(template).render(
            {"language": voice.locale, "trap": "", "automatic": False} | more,
            page=page,
            say=voice.say,
            locale=voice.locale,
            direction=voice.formats.direction,
            shop=shop,
            logo=_own_logo(shop),
            style=_style(shop.brand) if shop and status != 404 else "",
            csp=_CSP,
            nonce=_NONCE if opened else "",
            notice=_NOTICE if opened else "",
            css=self._files["pages.css"],
            script=self._files["pages.js"],
        )
        # Only pages that tell something of their own need a style of their own; those that tell nothing stay the same.
        csp_nonce = secrets.token_urlsafe(12) if _CSP in html else ""
        if opened:
            notice_id = hashlib.sha256(html.translate(_BLANK).encode()).digest()
            html = html.replace(_NONCE, self._nonce(opened, notice_id))
            html = html.replace(_NOTICE, base64.urlsafe_b64encode(notice_id).decode().rstrip("="))
        headers = headers_of(request, csp_nonce)
        if status == 503:
            headers["Retry-After"] = "30"
        headers["Content-Language"] = voice.locale
        return web.Response(
            status=status, text=html.replace(_CSP, csp_nonce), content_type="text/html", headers=headers
        )


def _own_logo(shop: Shop | None) -> str:
    """The shop's logo where it lies on our own origin: a page whose address is a capability loads nothing else."""
    return shop.logo_url if shop and shop.logo_url.startswith(f"{shop.link_base}/") else ""


def _style(brand: Brand) -> Markup:
    """The brand's colours and font as CSS variables; what is no colour or font is left out."""
    rules = [
        f"--{name.replace('_', '-')}:{value}"
        for name in ("primary", "on_primary", "accent", "background", "surface", "text", "muted", "border")
        if _COLOUR.fullmatch(value := getattr(brand, name))
    ]
    if _FONT.fullmatch(brand.font):
        rules.append(f"--font:{brand.font}")
    return Markup(f":root{{{';'.join(rules)}}}")  # noqa: S704 - every value matched a pattern without < and &


def _preferred(request: web.Request, offered: Callable[[str], bool]) -> str | None:
    """The first language of ``Accept-Language`` that is offered; English where nothing is asked for."""
    parts = request.headers.get("Accept-Language", "")[:200].split(",")
    matches = [match for part in parts if (match := _LANGUAGE.fullmatch(part.strip()))]
    wanted = [(-float(match[2] or 1), match[1].lower()) for match in matches]
    for weight, tag in sorted(wanted, key=lambda one: one[0]):
        if weight and (tag == "en" or offered(tag)):
            return tag
    return None
