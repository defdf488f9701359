"""The customer's pages: /o (opt in, confirm) and /u (unsubscribe). They work without JavaScript and set no cookie."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

import jinja2
from aiohttp import web
from aiohttp.typedefs import Handler
from markupsafe import Markup

from handraiser.answer import ASKS, GIVES, Action, Answer, Ask, Opened, Visit
from handraiser.core.consent import State
from handraiser.core.links import LinkKind
from handraiser.core.shop import Brand, Shop
from handraiser.doors import page_notices as notices
from handraiser.doors import page_texts as texts
from handraiser.doors.page_forms import (
    action_of,
    fields_of,
    from_our_page,
    headers_of,
    must_be_form,
    notice_of,
    visit_of,
)
from handraiser.doors.page_texts import Page, Voice, confirming
from handraiser.doors.web import Problem, read_body
from handraiser.errors import BadNonce, NotFound, StoreUnavailable, TooMany
from handraiser.settings import Settings

BODY_LIMIT = 4096
FORM = "application/x-www-form-urlencoded"
ONE_CLICK = b"List-Unsubscribe=One-Click"
_LEAVES = frozenset({LinkKind.WITHDRAW})
_LEAVE_SECONDS = 3.0
_COLOUR = re.compile(r"#[0-9A-Fa-f]{3,8}")
_FONT = re.compile(r"[A-Za-z0-9 ,'\"_-]{1,200}")
_LANGUAGE = re.compile(r"([A-Za-z]{2,3})(?:-[A-Za-z0-9-]+)?\s*(?:;\s*q=([01](?:\.\d{0,3})?))?")

# Stand where nonces will: the page is hashed with them blank, and served with them filled.
_CSP, _NONCE, _NOTICE = "\ue001", "\ue002", "\ue003"


class Pages:
    """Serves and reads the pages; what an answer means is decided by :class:`~handraiser.answer.Answer`."""

    def __init__(
        self, *, answer: Answer, templates: Path, words: Callable[[str], Mapping[str, str]], settings: Settings
    ) -> None:
        """``templates`` is the root that holds ``pages/`` and ``static/``; ``words`` gives a language's catalogue."""
        self._answer, self._words, self._settings = answer, words, settings
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(templates / "pages"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._template = environment.get_template("page.html")
        # A new file is a new address, so browsers may keep the old one for good.
        self._files = {
            name: f"/static/{name}?v={hashlib.sha256((templates / 'static' / name).read_bytes()).hexdigest()[:12]}"
            for name in ("pages.css", "pages.js")
        }

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(r"/o/{token:[\s\S]*}", self._unhurried(self.show_ask)),
            web.post(r"/o/{token:[\s\S]*}", self._unhurried(self.take_answer)),
            web.get(r"/u/{token:[\s\S]*}", self.show_leave),
            web.post(r"/u/{token:[\s\S]*}", self._unhurried(self.take_leave)),
        ]

    def _unhurried(self, handler: Handler) -> Handler:
        """Tell who comes too often to come again later."""

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except TooMany as error:
                said = self._plain(request, None, notices.too_many, 429)
                said.headers["Retry-After"] = str(error.seconds)
                return said

        return handle

    # --- /o

    async def show_ask(self, request: web.Request) -> web.Response:
        """The promise and one button; nothing but the click log is written."""
        visit = visit_of(request)
        try:
            opened = await self._answer.open(request.match_info["token"], visit, ASKS)
            ask = await self._answer.look(opened, visit)
        except NotFound:
            return self._unknown(request)
        except StoreUnavailable:
            return self._plain(request, None, notices.unavailable, 503)
        return self._ask_page(request, ask, declining=request.query_string == "no")

    async def take_answer(self, request: web.Request) -> web.Response:
        """One of the page's answers, from the body of our own form alone."""
        visit = visit_of(request)
        try:
            opened = await self._answer.open(request.match_info["token"], visit, ASKS)
        except NotFound:
            return self._unknown(request)
        except StoreUnavailable:
            return self._plain(request, None, notices.unsaved, 503)
        form = await self._form(request)
        action = action_of(form)
        # Taking a yes back needs a link and nothing else.
        if action is not Action.UNDO and not from_our_page(request, opened.shop):
            return self._plain(request, opened.shop, notices.elsewhere, 403)
        visit = visit_of(request, form.get("press", ""), automatic=form.get("via") == "auto")
        notice_id = notice_of(form)
        try:
            if action is not Action.UNDO:
                self._answer.check_nonce(opened, form.get("nonce", ""), notice_id or b"")
            if action is None:
                raise BadNonce("the form names no answer")
        except BadNonce:
            return await self._ask_again(request, opened, visit)
        return await self._answered(request, opened, visit, action, notice_id)

    async def _answered(
        self, request: web.Request, opened: Opened, visit: Visit, action: Action, notice_id: bytes | None
    ) -> web.Response:
        try:
            told = await self._answer.press(opened, visit, action, notice_id)
        except NotFound:
            return self._unknown(request)
        except StoreUnavailable:
            failed = notices.unsaved if action in GIVES else notices.unavailable
            return self._plain(request, opened.shop, failed, 503)
        if told.ask is None:
            voice = self._voice(request, opened.shop)
            return self._response(request, voice, opened.shop, texts.stopped(voice, told.outcome))
        voice = self._voice(request, told.ask.shop, told.ask.message.locale)
        page = texts.answered(voice, told, told.ask)
        return self._response(request, voice, told.ask.shop, page, 410 if told.outcome == "expired" else 200, told.ask)

    async def _ask_again(self, request: web.Request, opened: Opened, visit: Visit) -> web.Response:
        try:
            ask = await self._answer.look(opened, visit)
        except NotFound:
            return self._unknown(request)
        except StoreUnavailable:
            return self._plain(request, opened.shop, notices.unavailable, 503)
        voice = self._voice(request, ask.shop, ask.message.locale)
        return self._ask_page(request, ask, voice.say("This page was open for too long. Please press again."))

    def _ask_page(self, request: web.Request, ask: Ask, notice: str = "", *, declining: bool = False) -> web.Response:
        """Where the reader stands, and what can be answered; ``declining`` (the mail's "no thanks") puts the no first.
        It is the page alone that differs: an address never answers."""
        voice = self._voice(request, ask.shop, ask.message.locale)
        if ask.standing.state is State.GRANTED:
            return self._response(request, voice, ask.shop, texts.already(voice, ask), 200, ask)
        if ask.expired:
            return self._response(request, voice, ask.shop, texts.expired(voice, ask), 410, ask)
        if ask.message.test:
            notice = voice.say("This link is from a test email: nothing you press here is recorded.")
        if _needs_mail(ask) and not declining:
            return self._response(request, voice, ask.shop, texts.waiting(voice, ask), 200, ask)
        page = texts.declining(voice, ask, notice) if declining else texts.asking(voice, ask, notice)
        automatic = not declining and self._answer.grants_by_itself(ask)
        return self._response(request, voice, ask.shop, page, 200, ask, automatic=automatic)

    async def _form(self, request: web.Request) -> dict[str, str]:
        """The fields of the body; raises :class:`Problem` for another type (415), size (413) or what is no form."""
        must_be_form(request)
        return fields_of(await read_body(request, BODY_LIMIT, self._settings.body_seconds))

    # --- /u

    async def show_leave(self, request: web.Request) -> web.Response:
        """What the one button does; nothing is written."""
        try:
            opened = await self._answer.open(request.match_info["token"], visit_of(request), _LEAVES)
        except NotFound:
            return self._unknown(request)
        voice = self._voice(request, opened.shop, await self._answer.locale_of(opened))
        return self._response(request, voice, opened.shop, notices.leaving(voice, opened.shop))

    async def take_leave(self, request: web.Request) -> web.Response:
        """Withdraw: by the page's button or by mail software (RFC 8058). Nothing but the link is asked for."""
        try:
            opened = await self._answer.open(request.match_info["token"], visit_of(request), _LEAVES)
        except NotFound:
            return self._unknown(request)
        try:
            body = await read_body(request, BODY_LIMIT, min(_LEAVE_SECONDS, self._settings.body_seconds))
        except Problem:
            body = b""  # whatever was sent, the link is what counts
        if b"action=undo" in body and opened.shop is not None:
            return await self._take_back(request, opened, body)
        voice = self._voice(request, opened.shop)
        by_page = b"action=leave" in body
        try:
            await self._answer.leave(opened, one_click=not by_page)
        except StoreUnavailable:
            return self._response(request, voice, opened.shop, notices.still_here(voice), 503)
        voice = self._voice(request, opened.shop, await self._answer.locale_of(opened))
        undo = by_page and await self._answer.undo_offered(opened)
        page = notices.left(voice, opened.shop, undo=undo)
        return self._response(request, voice, opened.shop, page, bound=opened if undo else None)

    async def _take_back(self, request: web.Request, opened: Opened, body: bytes) -> web.Response:
        """The undo of who left by mistake: what grants again is a press on the page that said "you left", no less
        judged than any other yes."""
        must_be_form(request)
        if not from_our_page(request, opened.shop):
            return self._plain(request, opened.shop, notices.elsewhere, 403)
        form = fields_of(body)
        voice = self._voice(request, opened.shop, await self._answer.locale_of(opened))
        notice_id = notice_of(form) or b""
        try:
            self._answer.check_nonce(opened, form.get("nonce", ""), notice_id)
            outcome = await self._answer.undo(opened, visit_of(request, form.get("press", "")), notice_id)
        except BadNonce:
            outcome = "late"
        except StoreUnavailable:
            return self._plain(request, opened.shop, notices.unsaved, 503)
        page = notices.undone(voice, opened.shop, outcome)
        return self._response(request, voice, opened.shop, page, bound=opened if outcome == "doubtful" else None)

    # --- rendering

    def _voice(self, request: web.Request, shop: Shop | None, locale: str | None = None) -> Voice:
        """The email's language; where that is not known the browser's, as far as the shop writes it."""
        offered = shop.locales if shop else ()
        chosen = locale or _preferred(request, lambda tag: tag in offered if offered else bool(self._words(tag)))
        chosen = chosen or (shop.default_locale if shop else "en")
        return Voice(chosen, self._words(chosen), shop.time_zone if shop else "UTC")

    def _unknown(self, request: web.Request) -> web.Response:
        return self._plain(request, None, notices.unknown, 404)

    def _plain(
        self, request: web.Request, shop: Shop | None, page: Callable[[Voice], Page], status: int
    ) -> web.Response:
        voice = self._voice(request, shop)
        return self._response(request, voice, shop, page(voice), status)

    def _response(
        self,
        request: web.Request,
        voice: Voice,
        shop: Shop | None,
        page: Page,
        status: int = 200,
        ask: Ask | None = None,
        *,
        bound: Opened | None = None,
        automatic: bool = False,
    ) -> web.Response:
        """``bound`` is the link that the page's nonce belongs to; that of ``ask`` where there is one."""
        bound = ask.opened if ask else bound
        html = self._template.render(
            page=page,
            say=voice.say,
            locale=voice.locale,
            direction=voice.formats.direction,
            shop=shop,
            logo=_own_logo(shop),
            style=_style(shop.brand) if shop and status != 404 else "",
            csp=_CSP,
            nonce=_NONCE if bound else "",
            notice=_NOTICE if bound else "",
            trap=f"/o/{ask.trap_token}" if ask and ask.trap_token else "",
            automatic=automatic,
            css=self._files["pages.css"],
            script=self._files["pages.js"],
            language=ask.language if ask else voice.locale,
        )
        # Only pages that tell something of their own need a style of their own; those that tell nothing stay the same.
        csp_nonce = secrets.token_urlsafe(12) if _CSP in html else ""
        if bound:
            notice_id = hashlib.sha256(html.translate(_BLANK).encode()).digest()
            html = html.replace(_NONCE, self._answer.nonce(bound, notice_id))
            html = html.replace(_NOTICE, base64.urlsafe_b64encode(notice_id).decode().rstrip("="))
        headers = headers_of(request, csp_nonce)
        if status == 503:
            headers["Retry-After"] = "30"
        headers["Content-Language"] = voice.locale
        return web.Response(
            status=status, text=html.replace(_CSP, csp_nonce), content_type="text/html", headers=headers
        )


def _needs_mail(ask: Ask) -> bool:
    """Whether the reader waits for a confirmation mail, and no press on this page could do instead."""
    by_mail_alone = ask.double_opt_in or ask.left_at is not None
    return ask.standing.state is State.PENDING and by_mail_alone and not confirming(ask)


_BLANK = {ord(mark): "" for mark in (_CSP, _NONCE, _NOTICE)}


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
