"""The plain-text part, derived from the compiled HTML once at publish time, so that it can never say something else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser

_BLOCKS = frozenset(
    ("p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "tbody", "blockquote", "pre", "hr")
)
_IN_LINK = re.compile(r"zqe(\d+)xzq")
_BRANCH = re.compile(r"zqs\d+xzq")
_TOKEN = re.compile(r"zq[es](\d+)xzq")
_LAYOUT = frozenset({"table", "tbody", "thead", "tfoot", "tr", "body", "html"})
_SILENT = frozenset({"style", "script", "title", "head", "noscript", "xml"})
_VOID = frozenset({"br", "img", "hr", "meta", "link", "input", "col", "v:fill"})


class _Reader(HTMLParser):
    """Walks the HTML that browsers see; what only Outlook sees stands in comments and is passed over."""

    def __init__(self, code: Sequence[tuple[str, str]]) -> None:
        super().__init__(convert_charrefs=True)
        self._code = code
        self.parts: list[str] = []
        self._hidden: list[str] = []
        self._open: list[str] = []
        self._links: list[tuple[str, int]] = []
        self._cells: list[int] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag not in _VOID:
            layout = attributes.get("role") == "article" or "font-size:0" in attributes.get("style", "")
            self._open.append("body" if layout else tag)
        if self._hidden:
            if tag not in _VOID:
                self._hidden.append(tag)
            return
        if tag in _SILENT or re.search(r"display:\s*none", attributes.get("style", "")):
            if tag not in _VOID:
                self._hidden.append(tag)
            return
        self._begin(tag, attributes)

    def _begin(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "br":
            self.parts.append("\n")
        elif tag == "img":
            self.parts.append(attributes.get("alt", ""))
        elif tag == "a":
            href = attributes.get("href", "")
            self._links.append((href, len(self.parts)))
        elif tag == "li":
            self.parts.append("\n- ")
        elif tag == "tr":
            self._cells.append(0)
            self.parts.append("\n")
        elif tag in ("td", "th"):
            if self._cells:
                if self._cells[-1]:
                    self.parts.append("  ")
                self._cells[-1] += 1
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID and self._open:
            self._open.pop()
        if self._hidden:
            if tag in self._hidden:
                while self._hidden.pop() != tag:
                    pass
            return
        if tag == "a" and self._links:
            self._end_link(*self._links.pop())
        elif tag == "tr" and self._cells:
            self._cells.pop()
        elif tag in ("p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "blockquote"):
            self.parts.append("\n\n")
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def _end_link(self, href: str, start: int) -> None:
        """Write the link out after its words, unless they are the link or the address itself."""
        said = "".join(self.parts[start:]).strip()
        link, words = self._meant(href), self._meant(said)
        if not link or link.startswith("#") or words in (link, link.removeprefix("mailto:"), link.removeprefix("tel:")):
            return
        whole = _IN_LINK.fullmatch(href)
        if whole and said:  # in the compiled text; where the data holds no link, nothing follows the words
            written = f"zqa{whole.group(1)}xzq"
        else:
            written = (": " if said else "") + _IN_LINK.sub(r"zqu\1xzq", href)
        self.parts[start:] = ["".join(self.parts[start:]).rstrip() + written]

    def handle_comment(self, data: str) -> None:
        # Between the rows of a wrapper, branches and loops stand in what only Outlook reads; they hold for all.
        self.parts += _BRANCH.findall(data)

    def _meant(self, text: str) -> str:
        """Token text with the code itself in its places: two tokens may hold the same expression."""
        return _TOKEN.sub(lambda match: self._code[int(match.group(1))][1], text) if self._code else text

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        between = self._open and self._open[-1] in _LAYOUT and not _TOKEN.sub("", data).strip()
        # Between rows and sections stand branches, and white space that is nobody's text.
        self.parts.append(re.sub(r"\s+", "" if between else " ", data))


def text_of(html: str, code: Sequence[tuple[str, str]] = ()) -> str:
    """The text a reader of this HTML would see, links written out; in a token text the tokens stand for ``code``."""
    reader = _Reader(code)
    reader.feed(html)
    reader.close()
    return tidy("".join(reader.parts))


_UNTIDY = re.compile(r" [\n ]|\n ")
_SPACES = re.compile(r" *(\n *)+| {2,}")


def _space(blank: re.Match[str]) -> str:
    return "\n\n"[: blank.group(0).count("\n")] or " "


def tidy(text: str) -> str:
    """At most one blank line and one space in a row, none at the ends; no-break spaces and tabs are plain ones."""
    for odd in "\xa0\u202f\t\r":
        if odd in text:
            text = text.replace(odd, " ")
    paragraphs = [paragraph for paragraph in map(str.strip, text.split("\n\n")) if paragraph]
    # One search for two signs takes as long as all the rest here, so there is one for all three untidy pairs.
    if "  " in "-".join(paragraphs).replace("\n", " "):
        paragraphs = [_SPACES.sub(_space, one) if _UNTIDY.search(one) else one for one in paragraphs]
    return "\n\n".join(paragraphs)
