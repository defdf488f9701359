"""What the customer's pages read of a request: the visit, the form, whether it came from our own page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from handraiser.answer import Action, Visit
from handraiser.core.person import Evidence
from handraiser.core.shop import Shop
from handraiser.doors.web import Problem

FORM = "application/x-www-form-urlencoded"


def headers_of(request: web.Request, csp_nonce: str) -> dict[str, str]:
    """What every page answers with: nothing is loaded from elsewhere, framed, kept or indexed."""
    style = f"'self' 'nonce-{csp_nonce}'" if csp_nonce else "'self'"
    headers = {
        "Content-Security-Policy": f"default-src 'none'; script-src 'self'; style-src {style}; img-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "strict-origin",
        "Cache-Control": "no-store",
        "X-Robots-Tag": "noindex, nofollow",
    }
    if request.scheme == "https":
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return headers


def visit_of(request: web.Request, press: str = "", *, automatic: bool = False) -> Visit:
    """What the request shows of its sender.

    ``press`` is what the page's script wrote into the form: that it ran, and whether it saw a trusted press;
    ``automatic`` that the page pressed by itself."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    evidence = Evidence(
        request.method,
        headers,
        https=request.scheme == "https",
        trusted_event=press == "trusted",
        script_ran=press != "",
        automatic=automatic,
    )
    return Visit(request.headers.get("Host", ""), evidence, request.remote or "")


def action_of(form: Mapping[str, str]) -> Action | None:
    """The button that was pressed; None for what is none of ours."""
    try:
        return Action(form.get("action", ""))
    except ValueError:
        return None


def must_be_form(request: web.Request) -> None:
    """Raise :class:`Problem` (415) for a body of another type."""
    if request.content_type != FORM:
        raise Problem(415, f"Send the page's form as {FORM}.", headers=headers_of(request, ""))


def fields_of(body: bytes, most: int = 20) -> dict[str, str]:
    """The fields of a form, at most so many; raises :class:`Problem` (400) for what is none."""
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=most, errors="strict")
    except ValueError:
        raise Problem(400, "The form cannot be read.") from None
    if any(len(values) > 1 for values in fields.values()):
        raise Problem(400, "The form names a field twice.")
    return {name: values[0] for name, values in fields.items()}


def notice_of(form: Mapping[str, str]) -> bytes | None:
    """The hash of the page that the form stood on; what is none stays unproven and fails the nonce."""
    try:
        return base64.urlsafe_b64decode(form.get("notice", "") + "=") or None
    except (binascii.Error, ValueError):
        return None


def from_our_page(request: web.Request, shop: Shop | None) -> bool:
    """Whether the browser says that the form was sent from our own page; old browsers that say nothing are believed."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if origin is not None and (shop is None or origin.lower() != _origin(shop.link_base)):
        return False
    return site in (None, "same-origin")


def _origin(base: str) -> str:
    parts = urlsplit(base.lower())
    port = parts.port if parts.port != {"https": 443, "http": 80}.get(parts.scheme) else None
    return f"{parts.scheme}://{parts.hostname}{f':{port}' if port else ''}"
