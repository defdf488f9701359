"""Blocks as a fragment of somebody's page: their words, links and pictures, without the tables and styles of mail.

The page's own look is taken over. One short style sheet comes along, the same for every fragment of a shop: a page with
a strict Content-Security-Policy allows it by its hash, and without it the fragment is plain HTML that reads as well.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser

from markupsafe import escape

from handraiser.core.shop import Brand

_KEPT = re.compile("a|b|blockquote|br|code|del|em|h[1-6]|i|img|ins|li|ol|p|q|s|small|strong|sub|sup|u|ul")
_CELLS = frozenset({"tr", "th", "td"})
_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "a": ("href", "title"),
    "img": ("src", "alt", "width"),
    "td": ("colspan",),
    "th": ("colspan", "scope"),
}
_VOID = frozenset({"br", "img"})
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")
_WORD = re.compile(r"(?:^|>)[^<]*\w")
_QUIET = "hr-m"
"""The class of a cell whose text is quiet, in the emails' own parts."""


def fragment(
    slots: Mapping[str, tuple[str, str]], brand: Brand, locale: str, direction: str, *, qr: str = "", url: str = ""
) -> str:
    """The HTML of the blocks in ``slots`` (each as filled for an email), in their order.

    With ``qr`` it is for paper: the button's words above the code and its ``url``, and no other link: what cannot be
    pressed there is on the page that the code leads to.
    """
    code = f'{qr}<div class="hr-text hr-quiet">{_ascii(url)}</div>' if qr else ""
    parts = "".join(
        f'<div class="hr-block hr-{slot}">{_words_of(html, code)}</div>' for slot, (html, _) in slots.items()
    )
    return f'<style>{style(brand)}</style><div class="handraiser" lang="{locale}" dir="{direction}">{parts}</div>'


def qr_code(url: str) -> str:
    """A QR code (ISO/IEC 18004, level M) as an SVG element in ASCII, 3 to 4 cm wide with its quiet zone."""
    import segno  # for those who print alone

    made = segno.make(url, error="m", micro=False)
    scale = 35 / made.symbol_size(border=4)[0]
    svg: str = made.svg_inline(
        scale=round(scale, 2), border=4, unit="mm", light="#ffffff", svgclass="hr-qr", lineclass=None
    )
    return svg


def style_hash(brand: Brand) -> str:
    """What a Content-Security-Policy's ``style-src`` names to allow the style sheet of a shop's fragments (CSP 3)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(style(brand).encode()).digest()).decode()}"


def style(brand: Brand) -> str:
    """The style sheet: a frame and a button; type, text and background are the page's own."""
    back, front = (
        colour if _COLOUR.fullmatch(colour) else otherwise
        for colour, otherwise in ((brand.primary, "#1f4d3a"), (brand.on_primary, "#ffffff"))
    )
    return (
        ".handraiser{max-width:40rem;line-height:1.5;overflow-wrap:break-word}"
        ".handraiser .hr-block{border:1px solid rgba(128,128,128,.5);border-radius:12px;padding:1.25rem;margin:1rem 0}"
        ".handraiser h2{font-size:1.25rem;line-height:1.3;margin:0}"
        ".handraiser .hr-text,.handraiser table{margin:.5rem 0}"
        ".handraiser td{padding:.25rem .75rem .25rem 0;vertical-align:top;text-align:start}"
        ".handraiser a{color:inherit}"
        ".handraiser .hr-quiet{font-size:.875rem}"
        ".handraiser .hr-quiet a{display:inline-block;padding:.375rem 0}"
        f".handraiser a.hr-press{{display:inline-block;background:{back};color:{front};font-weight:bold;"
        "text-decoration:none;border-radius:8px;padding:.875rem 1.5rem;margin:.25rem 0}"
        ".handraiser img{max-width:100%;height:auto}"
        ".handraiser .hr-qr{display:block;margin:.25rem 0}"
    )


def _words_of(html: str, code: str) -> str:
    reader = _Reader(code)
    reader.feed(html)
    reader.close()
    return "".join(reader.out)


@dataclass(slots=True)
class _Opened:
    """An element that is open: what was made of it, where that begins in the output, and the links before it."""

    tag: str
    made: str
    at: int
    links: int
    press: bool = False


class _Reader(HTMLParser):
    """Unwraps what MJML builds for mail: comments for Outlook go, text cells become plain ``div``, a button a link; or,
    for paper, the button's words with ``code`` below, and no link."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self.out: list[str] = []
        self._code = code
        self._open: list[_Opened] = []
        self._kept = self._links = 0
        self._quiet = self._mute = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "td":
            self._quiet = _QUIET in given.get("class", "").split()
        made = None if self._mute else self._made(tag, given)
        opened = _Opened(tag, made[0] if made else "", len(self.out), self._links)
        if self._code and tag == "a" and not self._mute:
            opened.press = bool(made and made[1])
            made = ("b", "") if opened.press else None
            opened.made = "b" if opened.press else ""
            self._mute = not opened.press
            self._links += 1
        if made:
            name, extra = made
            kept = "".join(f' {a}="{_ascii(given[a])}"' for a in _ATTRIBUTES.get(name, ()) if given.get(a))
            alt = ' alt=""' if name == "img" and "alt" not in kept else ""
            self.out.append(f"<{name}{extra}{kept}{alt}>")
            self._kept += tag not in _VOID
        if tag not in _VOID:
            self._open.append(opened)

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID or all(opened.tag != tag for opened in self._open):
            return
        while self._open:
            opened = self._open.pop()
            if opened.made:
                self.out.append(f"</{opened.made}>")
                self._kept -= 1
            if opened.press:
                self.out.append(self._code)
            elif opened.tag == "a":
                self._mute = False
            elif (
                opened.made
                and self._links > opened.links
                and not _WORD.search(unescape("".join(self.out[opened.at :])))
            ):
                del self.out[opened.at :]  # of links with something between only that is left
            if opened.tag == tag:
                return

    def handle_data(self, data: str) -> None:
        if self._mute:
            return
        if self._kept:
            self.out.append(_ascii(data))
        elif data.strip():
            self.out.append(f'<div class="hr-text">{_ascii(data)}</div>')

    def _made(self, tag: str, given: Mapping[str, str]) -> tuple[str, str] | None:
        """The element that stands for this one, with its class; None where only its content stays."""
        look = given.get("style", "")
        if tag == "div":
            quiet = " hr-quiet" if self._quiet else ""
            return ("div", f' class="hr-text{quiet}"') if "font-family" in look else None
        if tag == "table":
            # MJML's own tables lay out; one that has a typeface is the author's.
            return ("table", ' role="presentation"') if "font-family" in look else None
        if tag in _CELLS:
            inner = next((opened.made for opened in reversed(self._open) if opened.tag == "table"), "")
            return (tag, "") if inner else None
        if tag == "p" and look.startswith("border-top"):
            return None  # a line between
        if tag == "a" and look.startswith("display:inline-block;background"):
            return ("a", ' class="hr-press"')
        return (tag, "") if _KEPT.fullmatch(tag) else None


def _ascii(text: str) -> str:
    return str(escape(text)).encode("ascii", "xmlcharrefreplace").decode()
