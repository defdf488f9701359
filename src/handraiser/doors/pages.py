"""The customer's pages: /o (opt in, confirm) and /u (unsubscribe). They work without JavaScript and set no cookie."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from handraiser.answer import ASKS, GIVES, Action, Answer, Ask, Opened, Visit
from handraiser.core.consent import State
from handraiser.core.links import LinkKind
from handraiser.doors import page_notices as notices
from handraiser.doors import page_texts as texts
from handraiser.doors.page_forms import action_of, fields_of, from_our_page, must_be_form, notice_of, visit_of
from handraiser.doors.page_frame import Frame
from handraiser.doors.page_texts import Page, Voice, confirming
from handraiser.errors import BadNonce, NotFound, StoreUnavailable

_LEAVES = frozenset({LinkKind.WITHDRAW})


class Pages:
    """Serves and reads the pages; what an answer means is decided by :class:`~handraiser.answer.Answer`."""

    def __init__(self, answer: Answer, frame: Frame) -> None:
        self._answer, self._frame = answer, frame

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(r"/o/{token:[\s\S]*}", self._frame.unhurried(self.show_ask)),
            web.post(r"/o/{token:[\s\S]*}", self._frame.unhurried(self.take_answer)),
            web.get(r"/u/{token:[\s\S]*}", self.show_leave),
            web.post(r"/u/{token:[\s\S]*}", self._frame.unhurried(self.take_leave)),
        ]

    # --- /o

    async def show_ask(self, request: web.Request) -> web.Response:
        """The promise and one button; nothing but the click log is written."""
        visit = visit_of(request)
        try:
            opened = await self._answer.open(request.match_info["token"], visit, ASKS)
            ask = await self._answer.look(opened, visit)
        except NotFound:
            return self._frame.unknown(request)
        except StoreUnavailable:
            return self._frame.plain(request, None, notices.unavailable, 503)
        return self._ask_page(request, ask, declining=request.query_string == "no")

    async def take_answer(self, request: web.Request) -> web.Response:
        """One of the page's answers, from the body of our own form alone."""
        visit = visit_of(request)
        try:
            opened = await self._answer.open(request.match_info["token"], visit, ASKS)
        except NotFound:
            return self._frame.unknown(request)
        except StoreUnavailable:
            return self._frame.plain(request, None, notices.unsaved, 503)
        form = await self._frame.form(request)
        action = action_of(form)
        # Taking a yes back needs a link and nothing else.
        if action is not Action.UNDO and not from_our_page(request, opened.shop):
            return self._frame.plain(request, opened.shop, notices.elsewhere, 403)
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
            return self._frame.unknown(request)
        except StoreUnavailable:
            failed = notices.unsaved if action in GIVES else notices.unavailable
            return self._frame.plain(request, opened.shop, failed, 503)
        if told.ask is None:
            voice = self._frame.voice(request, opened.shop)
            return self._frame.response(request, voice, opened.shop, texts.stopped(voice, told.outcome))
        voice = self._frame.voice(request, told.ask.shop, told.ask.message.locale)
        page = texts.answered(voice, told, told.ask)
        return self._of_ask(request, voice, told.ask, page, 410 if told.outcome == "expired" else 200)

    async def _ask_again(self, request: web.Request, opened: Opened, visit: Visit) -> web.Response:
        try:
            ask = await self._answer.look(opened, visit)
        except NotFound:
            return self._frame.unknown(request)
        except StoreUnavailable:
            return self._frame.plain(request, opened.shop, notices.unavailable, 503)
        voice = self._frame.voice(request, ask.shop, ask.message.locale)
        return self._ask_page(request, ask, voice.say("This page was open for too long. Please press again."))

    def _ask_page(self, request: web.Request, ask: Ask, notice: str = "", *, declining: bool = False) -> web.Response:
        """Where the reader stands, and what can be answered; ``declining`` (the mail's "no thanks") puts the no first.
        It is the page alone that differs: an address never answers."""
        voice = self._frame.voice(request, ask.shop, ask.message.locale)
        if ask.standing.state is State.GRANTED:
            return self._of_ask(request, voice, ask, texts.already(voice, ask))
        if ask.expired:
            return self._of_ask(request, voice, ask, texts.expired(voice, ask), 410)
        if ask.message.test:
            notice = voice.say("This link is from a test email: nothing you press here is recorded.")
        if _needs_mail(ask) and not declining:
            return self._of_ask(request, voice, ask, texts.waiting(voice, ask))
        page = texts.declining(voice, ask, notice) if declining else texts.asking(voice, ask, notice)
        automatic = not declining and self._answer.grants_by_itself(ask)
        return self._of_ask(request, voice, ask, page, automatic=automatic)

    def _of_ask(
        self, request: web.Request, voice: Voice, ask: Ask, page: Page, status: int = 200, **more: Any
    ) -> web.Response:
        trap = f"/o/{ask.trap_token}" if ask.trap_token else ""
        return self._frame.response(
            request, voice, ask.shop, page, status, opened=ask.opened, language=ask.language, trap=trap, **more
        )

    # --- /u

    async def show_leave(self, request: web.Request) -> web.Response:
        """What the one button does; nothing is written."""
        try:
            opened = await self._answer.open(request.match_info["token"], visit_of(request), _LEAVES)
        except NotFound:
            return self._frame.unknown(request)
        voice = self._frame.voice(request, opened.shop, await self._answer.locale_of(opened))
        return self._frame.response(
            request,
            voice,
            opened.shop,
            notices.leaving(voice, opened.shop, self._answer.preferences.path_beside(opened)),
        )

    async def take_leave(self, request: web.Request) -> web.Response:
        """Withdraw: by the page's button or by mail software (RFC 8058). Nothing but the link is asked for."""
        try:
            opened = await self._answer.open(request.match_info["token"], visit_of(request), _LEAVES)
        except NotFound:
            return self._frame.unknown(request)
        body = await self._frame.any_body(request) or b""  # whatever was sent, the link is what counts
        if b"action=undo" in body and opened.shop is not None:
            return await take_back(self._answer, self._frame, request, opened, body)
        return await goodbye(self._answer, self._frame, request, opened, one_click=b"action=leave" not in body)


async def take_back(answer: Answer, frame: Frame, request: web.Request, opened: Opened, body: bytes) -> web.Response:
    """The undo of who left by mistake: what grants again is a press on the page that said "you left", no less judged
    than any other yes."""
    must_be_form(request)
    if not from_our_page(request, opened.shop):
        return frame.plain(request, opened.shop, notices.elsewhere, 403)
    form = fields_of(body)
    voice = frame.voice(request, opened.shop, await answer.locale_of(opened))
    notice_id = notice_of(form) or b""
    try:
        answer.check_nonce(opened, form.get("nonce", ""), notice_id)
        outcome = await answer.undo(opened, visit_of(request, form.get("press", "")), notice_id)
    except BadNonce:
        outcome = "late"
    except StoreUnavailable:
        return frame.plain(request, opened.shop, notices.unsaved, 503)
    page = notices.undone(voice, opened.shop, outcome)
    return frame.response(request, voice, opened.shop, page, opened=opened if outcome == "doubtful" else None)


async def goodbye(
    answer: Answer, frame: Frame, request: web.Request, opened: Opened, *, one_click: bool
) -> web.Response:
    """Withdraw everything, and say so."""
    try:
        await answer.leave(opened, one_click=one_click)
    except StoreUnavailable:
        return frame.plain(request, opened.shop, notices.still_here, 503)
    voice = frame.voice(request, opened.shop, await answer.locale_of(opened))
    undo = not one_click and await answer.undo_offered(opened)
    page = notices.left(voice, opened.shop, undo=undo)
    return frame.response(request, voice, opened.shop, page, opened=opened if undo else None)


def _needs_mail(ask: Ask) -> bool:
    """Whether the reader waits for a confirmation mail, and no press on this page could do instead."""
    by_mail_alone = ask.double_opt_in or ask.left_at is not None
    return ask.standing.state is State.PENDING and by_mail_alone and not confirming(ask)
