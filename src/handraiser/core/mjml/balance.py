"""Whether HTML is balanced, as browsers see it and as Outlook does, which reads what stands in conditional comments."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_REVEALED = re.compile(r"<!--\[if !mso[^\]]*\]><!-->.*?<!--<!\[endif\]-->", re.DOTALL)
_CONDITIONAL = re.compile(r"<!--\[if (?!!mso)[^\]]*\]>(.*?)<!\[endif\]-->", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_VOID = frozenset(("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"))


def browser_view(html: str) -> str:
    """What every reader but Outlook for Windows shows."""
    return _COMMENT.sub("", html)


def outlook_view(html: str) -> str:
    """What Outlook for Windows shows: conditional comments opened, what is kept from it taken out."""
    return _COMMENT.sub("", _CONDITIONAL.sub(r"\1", _REVEALED.sub("", html)))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.open: list[str] = []
        self.fault = ""

    def handle_starttag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, _tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if self.fault or tag in _VOID:
            return
        if not self.open or self.open[-1] != tag:
            self.fault = f"</{tag}> closes <{self.open[-1]}>" if self.open else f"</{tag}> closes nothing"
        else:
            self.open.pop()


def unbalanced(html: str) -> str:
    """The first element that is closed wrongly or never, in either view; "" when all is well."""
    for seen_by, view in (("browsers see", browser_view), ("Outlook sees", outlook_view)):
        reader = _Reader()
        reader.feed(view(html))
        reader.close()
        fault = reader.fault or (f"<{reader.open[-1]}> is never closed" if reader.open else "")
        if fault:
            return f"as {seen_by} it, {fault}"
    return ""
