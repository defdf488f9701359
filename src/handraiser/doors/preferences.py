"""The customer's page /p: what is wanted, how often, not for a while, or nothing. No cookie; JavaScript not needed."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from handraiser.answer import Answer, Centre, Changed, Opened, Wanted, Wish
from handraiser.core.links import LinkKind
from handraiser.core.preference import BREAKS
from handraiser.doors import page_notices as notices
from handraiser.doors import page_texts, preference_texts
from handraiser.doors.page_forms import FORM, fields_of, from_our_page, notice_of, visit_of
from handraiser.doors.page_frame import Frame
from handraiser.doors.pages import goodbye, take_back
from handraiser.doors.web import Problem
from handraiser.errors import BadNonce, NotFound, StoreUnavailable

_KINDS = frozenset({LinkKind.PREFERENCES})
_TOPIC = "topic-"
FIELDS = 60
"""Of one form: a field for each ticked topic."""


class Preferences:
    """Shows the page and reads its forms; what a press means is decided by
    :class:`~handraiser.answer.preferences.PreferenceCentre`."""

    def __init__(self, answer: Answer, frame: Frame) -> None:
        self._answer, self._frame = answer, frame

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(r"/p/{token:[\s\S]*}", self._frame.unhurried(self.show)),
            web.post(r"/p/{token:[\s\S]*}", self._frame.unhurried(self.take)),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """Where the reader stands, and everything that can be changed; nothing but the click log is written."""
        visit = visit_of(request)
        try:
            opened = await self._answer.open(request.match_info["token"], visit, _KINDS)
        except NotFound:
            return self._frame.unknown(request)
        try:
            centre = await self._answer.preferences.look(opened, visit, request.query_string)
        except NotFound:
            return self._frame.unknown(request)
        except StoreUnavailable:
            return self._frame.plain(request, opened.shop, notices.only_leaving, 503)
        return self._page(request, centre)

    async def take(self, request: web.Request) -> web.Response:
        """One press on the page. Leaving needs the link alone: an empty body leaves, as mail software's (RFC 8058)."""
        try:
            opened = await self._answer.open(request.match_info["token"], visit_of(request), _KINDS)
        except NotFound:
            return self._frame.unknown(request)
        body = await self._frame.any_body(request)
        form = _form(body)
        if body == b"" or form.get("action") == "leave" or form.get("List-Unsubscribe") == "One-Click":
            return await goodbye(self._answer, self._frame, request, opened, one_click="action" not in form)
        if form.get("action") == "undo" and opened.shop is not None:
            return await take_back(self._answer, self._frame, request, opened, body or b"")
        visit, wanted = visit_of(request, form.get("press", "")), self._wanted(request, opened, form)
        if wanted is None:
            return await self.show(request)
        try:
            changed = await self._answer.preferences.change(opened, visit, wanted)
        except NotFound:
            return self._frame.unknown(request)
        except StoreUnavailable:
            return self._frame.plain(request, opened.shop, notices.only_leaving, 503)
        if changed.outcome == "again" and not from_our_page(request, opened.shop):
            return self._frame.plain(request, opened.shop, notices.elsewhere, 403)
        if changed.centre is None:
            voice = self._frame.voice(request, opened.shop)
            return self._frame.response(request, voice, opened.shop, page_texts.stopped(voice, "withdrawn"))
        return self._page(request, changed.centre, changed)

    def _wanted(self, request: web.Request, opened: Opened, form: Mapping[str, str]) -> Wanted | None:
        """What the form asks for; None where it names nothing that the page offers."""
        action, _, months = form.get("action", "").partition("-")
        if action not in set(Wish) or (action == Wish.PAUSE and months not in map(str, BREAKS)):
            return None
        notice_id = notice_of(form)
        ours = request.content_type == FORM and from_our_page(request, opened.shop)
        try:
            self._answer.check_nonce(opened, form.get("nonce", ""), notice_id or b"")
        except BadNonce:
            ours = False
        return Wanted(
            Wish(action),
            purpose=form.get("purpose", ""),
            topics=tuple(name.removeprefix(_TOPIC) for name in form if name.startswith(_TOPIC)),
            frequency=form.get("frequency", ""),
            months=int(months or 0),
            query=request.query_string,
            ours=ours,
            notice_id=notice_id,
        )

    def _page(self, request: web.Request, centre: Centre, changed: Changed | None = None) -> web.Response:
        voice = self._frame.voice(request, centre.shop, centre.locale)
        sheet = preference_texts.sheet(voice, centre, changed)
        return self._frame.response(
            request, voice, centre.shop, sheet.page, opened=centre.opened, template="preferences.html", sheet=sheet
        )


def _form(body: bytes | None) -> Mapping[str, str]:
    try:
        return fields_of(body or b"", FIELDS)
    except Problem:
        return {}
