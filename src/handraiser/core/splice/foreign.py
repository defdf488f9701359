"""A block in the form that stands in mail which we did not write: it brings its own colours and sizes, and asks for
nothing of the page around it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import turbohtml
from markupsafe import escape

from handraiser.core.splice.document import names
from handraiser.core.splice.places import Place

BEGIN = "handraiser:begin"
END = "handraiser:end"
MARK = "data-handraiser"
"""The pair of comments around a block and the attribute on it: known again, it is never put in twice, and can be taken
out."""

_LINE = 100
_LINK = re.compile(r"/[a-z]/[\w-]{28}\.[\w-]{22}", re.ASCII)
"""The end of a signed link: more often than not all in which two customers' blocks differ."""
_GONE = names("base form iframe link meta object script style title")
_AS_AROUND = (
    (names("h1 h2 h3 h4 h5 h6"), ("color:inherit", "font-family:inherit", "font-weight:bold", "text-align:inherit")),
    (names("td th"), ("border:0", "padding:0", "color:inherit", "font-size:inherit")),
    (names("table"), ("border:0", "margin:0")),
    (names("p div"), ("color:inherit",)),
)
"""Against rules for bare elements in the style sheet of the page around."""
_BARE = "hr-bare"
_GROUND = re.compile(r"background(?:-color)?:[^;]*;?")
_OUTLINE = re.compile(r"(?:max-width:\d+px|border-radius:[^;]*);?")
"""Of a whole section: the block's ground, a rectangle, would show beside round corners."""
_RESET = (
    "font-family:{font};font-size:16px;font-style:normal;font-weight:normal;letter-spacing:normal;line-height:1.5;"
    "text-decoration:none;text-indent:0;text-transform:none;white-space:normal;overflow-wrap:anywhere"
)
_INSISTS = re.compile(r"(?:color|background)[^;{}]{0,200}!\s*important", re.IGNORECASE)
_COLOUR = re.compile(r"(?:^|;)\s*(color|background)(?:-color)?\s*:\s*([^;!]+)")
_SPACE = re.compile(r"(?<!\[if) ")
_LAYOUT = 'role="presentation" border="0" cellpadding="0" cellspacing="0"'
_FOR_OUTLOOK = (
    f'<!--[if mso]><table {_LAYOUT} align="center" width="{{width}}"><tr><td><![endif]-->{{html}}'
    "<!--[if mso]></td></tr></table><![endif]-->"
)
"""Word's engine knows no max-width."""


@dataclass(frozen=True, slots=True)
class ForeignBlock:
    """A block for foreign mail: an HTML fragment in ASCII that stands in any flow content, and its plain text.

    ``background`` and ``color`` are CSS colours (``#rrggbb``), ``font`` a CSS font stack: what the fragment assumes of
    its surroundings, and therefore brings with it. ``firm`` means that the colours are ``!important``.
    """

    html: str
    text: str
    background: str = "#ffffff"
    color: str = "#22262a"
    font: str = "Helvetica, Arial, sans-serif"
    firm: bool = False


def insists(html: str) -> bool:
    """Whether a page has colours that are ``!important``, as those for dark screens are: they win over a block's inline
    colours, and leave white letters on its white ground."""
    return bool(_INSISTS.search(html))


def foreign_block(
    html: str,
    text: str,
    *,
    background: str = "#ffffff",
    color: str = "#22262a",
    link_color: str = "",
    font: str = "Helvetica, Arial, sans-serif",
    firm: bool = False,
) -> ForeignBlock:
    """A filled block (HTML as the compiler of our own pages makes it, and text) in its foreign form.

    Taken off: what only a page can give meaning (classes, ids, style elements, our page's width and ground) and
    Outlook's comments, which would close those of a page around. Put on: the colour of links, which our page's style
    sheet gives them, and what keeps rules for bare elements of the page around from reaching in: for a page that
    :func:`insists`, ``firm`` colours.
    """
    links = list(dict.fromkeys(_LINK.findall(html)))
    stand_ins = [f"/x/{n:028d}.{n:022d}" for n in range(len(links))]
    alike = _exchanged(html, dict(zip(links, stand_ins, strict=True)))
    made = _exchanged(_alone(alike, link_color or color, firm), dict(zip(stand_ins, links, strict=True)))
    return ForeignBlock(made, text, background, color, font, firm)


def _exchanged(html: str, links: dict[str, str]) -> str:
    return _LINK.sub(lambda found: links.get(found[0], found[0]), html)


@lru_cache(maxsize=256)
def _alone(html: str, link_color: str, firm: bool) -> str:
    root = turbohtml.parse_fragment(html, "div")
    for section in [one for one in root.children if isinstance(one, turbohtml.Element)]:
        if _BARE in (section.attr("class") or ""):
            _off_our_ground(section)
    for node in list(root.descendants):
        if isinstance(node, turbohtml.Comment):
            node.decompose()
        elif isinstance(node, turbohtml.Element):
            if node.tag in _GONE:
                node.decompose()
            else:
                _stand_alone(node, link_color)
                if firm:
                    _hold_colours(node)
    for node in root.children:
        if isinstance(node, turbohtml.Element):
            node.attrs["style"] = _OUTLINE.sub("", node.attr("style") or "")
    return _ascii(root.inner_html)


def _off_our_ground(section: turbohtml.Element) -> None:
    """A section on our page's ground, which is not there: a gap goes, what holds more stands on the block's own."""
    inside = list(section.descendants)
    words = "".join(one.data for one in inside if isinstance(one, turbohtml.Text)).strip()
    if not words and not any(isinstance(one, turbohtml.Element) and one.tag == "img" for one in inside):
        section.decompose()
        return
    for node in (section, *(one for one in section.children if isinstance(one, turbohtml.Element))):
        node.attrs["style"] = _GROUND.sub("", node.attr("style") or "")


def _stand_alone(node: turbohtml.Element, link_color: str) -> None:
    for name in ("class", "id"):
        node.attrs.pop(name, None)
    style = node.attr("style") or ""
    told = {one.partition(":")[0].strip() for one in style.lower().split(";")}
    if node.tag == "a" and "color" not in told:
        style = f"color:{link_color};text-decoration:underline;{style}"
    added = next((what for tags, what in _AS_AROUND if node.tag in tags), ())
    style = ";".join([*(one for one in added if one.partition(":")[0] not in told), *([style] if style else [])])
    if style:
        node.attrs["style"] = style.rstrip(";")


def _hold_colours(node: turbohtml.Element) -> None:
    """Behind the colours the same as ``!important``: Word's engine reads the first and passes over the second."""
    style = node.attr("style") or ""
    told = dict(_COLOUR.findall(style))
    ground = told.get("background") or node.attr("bgcolor") or "transparent"
    firm = f"color:{told.get('color', 'inherit')}!important;background:{ground}!important"
    node.attrs["style"] = f"{style};{firm}".lstrip(";")


def dressed(block: ForeignBlock, place: Place, newline: str) -> str:
    """The block as it is inserted at ``place``: ASCII, one element between two comments, lines of about 100 characters.

    Line breaks stand only where they are no text of the mail: in the comments and inside the element.
    """
    direction = f' dir="{place.direction}"' if place.direction else ""
    ground, colours = f"background-color:{block.background}", f"color:{block.color}"
    if block.firm:
        ground, colours = f"{ground};{ground}!important", f"{colours};{colours}!important"
    style = f"padding:0;border:0;{ground};{colours};{_RESET.format(font=block.font)}"
    opening = f'bgcolor="{block.background}" style="{escape(style)}">'
    if place.columns:
        made = f'<tr {MARK}="block"{direction}><td colspan="{place.columns}" {opening}{block.html}</td></tr>'
    else:
        width, inner = "", block.html
        if place.width:
            width = f"max-width:{place.width}px;"
            inner = _FOR_OUTLOOK.format(width=place.width, html=inner)
        made = (
            f'<table {MARK}="block" {_LAYOUT}{direction} align="center" width="100%" bgcolor="{block.background}" '
            f'style="width:100%;{width}margin:0 auto;border:0;border-collapse:collapse;'
            f'{ground}"><tbody><tr><td {opening}{inner}</td></tr></tbody></table>'
        )
    return f"<!--{BEGIN}{newline}-->{_folded(_ascii(made), newline)}<!--{END}{newline}-->"


def _folded(html: str, newline: str) -> str:
    """Spaces turned into line breaks so that no line of the mail grows too long."""
    html = html.replace("\r", " ").replace("\n", " ")
    lines: list[str] = []
    at = 0
    while len(html) - at > _LINE:
        cut = html.rfind(" ", at, at + _LINE + 1)
        while cut >= 0 and html.endswith("[if", at, cut):
            cut = html.rfind(" ", at, cut)
        if cut < 0:
            found = _SPACE.search(html, at + _LINE + 1)
            if found is None:
                break
            cut = found.start()
        lines.append(html[at:cut])
        at = cut + 1
    return newline.join((*lines, html[at:]))


def _ascii(html: str) -> str:
    return html.encode("ascii", "xmlcharrefreplace").decode()
