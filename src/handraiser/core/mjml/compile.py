"""MJML in, compiled templates out: one call of the MJML engine per page, and one per block in its page's skeleton.

Runs at publish time, in an isolated process: a deep or huge source can stall or kill the engine.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from handraiser.core.mjml import tags
from handraiser.core.mjml.lint import lint
from handraiser.core.mjml.lint_code import SLOT
from handraiser.core.mjml.program import CompiledBlock, CompiledPage
from handraiser.core.mjml.source import TOKEN, Source, Tokens, engine_ready, fold_words, put_parts_in, tokenise
from handraiser.core.mjml.text import text_of
from handraiser.core.mjml.trial import try_block, try_page
from handraiser.errors import TemplateFault, TemplateRefused

__all__ = ["CompiledBlock", "CompiledPage", "Direction", "block_key", "compile_block", "compile_page", "page_key"]

VERSION = "2"
"""Raised with every change of the compiler, so that no program of an earlier one is used."""

Direction = Literal["ltr", "rtl"]
_MARKS = ("zqm1xzq", "zqm2xzq")
_STYLE = re.compile(r"(<style[^>]*>)(.*?)(</style>)", re.DOTALL)
_RULE = re.compile(r"[^{}]+\{[^{}]*\}")
_SIDED = re.compile(
    r"""(\btext-align:\s*|\bfloat:\s*|\balign="|\bdirection:|\b(?:padding|margin|border)-)(left|right|ltr)\b"""
)
_OTHER_SIDE = {"left": "right", "right": "left", "ltr": "rtl"}
_FOUR_SIDES = re.compile(r"(\b(?:padding|margin):\s*)([^\s;\"]+) ([^\s;\"]+) ([^\s;\"]+) ([^\s;\"]+)(?=[;\"])")
_BRACE = re.compile(r"\{(?=[{%#]|\Z)")


def compile_page(
    name: str, source: str, parts: Mapping[str, str], *, words: Mapping[str, str], locale: str, direction: Direction
) -> CompiledPage:
    """Compile a page and try it out; raises :class:`TemplateRefused` naming every fault."""
    ready = _ready(name, source, parts, words)
    tokens = Tokens()
    faults, text = lint(ready, tokens, block=False)
    _refuse(faults)
    html = laid_out(text, _rooted(text.text, locale, direction))
    _check_tokens(text, html, tokens)
    head, end, body = finished(html, direction).partition("</head>")
    title = re.search(r"<title>(.*?)</title>", head, re.DOTALL)
    compiled = CompiledPage(
        name=name,
        html=_html_program(head, tokens) + "{{ _head }}" + end + _html_program(body, tokens),
        text=_text_program(text_of(body, tokens.code), tokens),
        title=_text_program(text_of(title.group(1)) if title else "", tokens),
        slots=tuple(SLOT.findall(ready.text)),
    )
    _refuse([TemplateFault(name, 1, 1, code, detail) for code, detail in try_page(compiled)])
    return compiled


def compile_block(
    name: str,
    source: str,
    *,
    page: str,
    parts: Mapping[str, str],
    words: Mapping[str, str],
    locale: str,
    direction: Direction,
) -> CompiledBlock:
    """Compile a block inside ``page``'s skeleton and try it out; raises :class:`TemplateRefused` naming every fault."""
    tokens = Tokens()
    opening, closing = skeleton(_ready("page", page, parts, words).text)
    opening = tokenise(Source.of("page", opening), tokens).text
    faults, text = lint(_ready(name, source, {}, words), tokens, block=True)
    _refuse(faults)
    bare = laid_out(text, _rooted(opening + closing, locale, direction))
    html = laid_out(text, _rooted(opening + _MARKS[0] + text.text + _MARKS[1] + closing, locale, direction))
    head, _, body = html.partition("</head>")
    _, mark, rest = body.partition(_MARKS[0])
    fragment, other, _ = rest.partition(_MARKS[1])
    if not mark or not other:
        _refuse([text.fault(0, "lost", "the block disturbs the page around it")])
    _check_tokens(text, fragment, tokens)
    fragment = finished(fragment, direction)
    compiled = CompiledBlock(
        name=name,
        html=_html_program(fragment, tokens),
        text=_text_program(text_of(fragment, tokens.code), tokens),
        head=_html_program(_head_delta(bare.partition("</head>")[0], head), tokens),
    )
    _refuse([TemplateFault(name, 1, 1, code, detail) for code, detail in try_block(compiled)])
    return compiled


def skeleton(page: str) -> tuple[str, str]:
    """What of a page decides how a block in it is laid out: its head and its body's attributes, before and after."""
    head = re.search(r"<mj-head>.*?</mj-head>", page, re.DOTALL)
    body = re.search(r"<mj-body[^>]*>", page)
    if body is None:
        raise TemplateRefused([TemplateFault("page", 1, 1, "no_body", "a page has an <mj-body>")])
    kept = re.sub(r"<mj-(title|preview)>.*?</mj-\1>", "", head.group(0), flags=re.DOTALL) if head else ""
    return f"<mjml>{kept}{body.group(0)}", "</mj-body></mjml>"


def page_key(source: str, parts: Mapping[str, str], words: Mapping[str, str], locale: str, direction: str) -> bytes:
    """The content address of a compiled page: SHA-256 over everything that goes into it."""
    return _key("page", source, sorted(parts.items()), sorted(words.items()), locale, direction)


def block_key(
    source: str, page: str, parts: Mapping[str, str], words: Mapping[str, str], locale: str, direction: str
) -> bytes:
    """The content address of a compiled block; pages with the same skeleton share it."""
    whole = skeleton(put_parts_in(Source.of("page", page), parts).text)
    return _key("block", source, whole, sorted(words.items()), locale, direction)


def _key(*pieces: object) -> bytes:
    return hashlib.sha256(json.dumps([VERSION, *pieces]).encode()).digest()


def _ready(name: str, source: str, parts: Mapping[str, str], words: Mapping[str, str]) -> Source:
    """A source with its parts and words in place; too large a one is refused before anything reads it."""
    if len(source) > tags.SOURCE_BYTES:
        _refuse([TemplateFault(name, 1, 1, "too_large", f"at most {tags.SOURCE_BYTES} bytes")])
    whole = Source.of(name, source.replace("\r\n", "\n"))
    return fold_words(put_parts_in(whole, parts) if parts else whole, words)


def _refuse(faults: list[TemplateFault]) -> None:
    if faults:
        raise TemplateRefused(faults)


def _rooted(text: str, locale: str, direction: str) -> str:
    return re.sub(r"<mjml[^>]*>", f'<mjml lang="{locale}" dir="{direction}">', text, count=1)


def laid_out(source: Source, text: str, **options: Any) -> str:
    """What the MJML engine makes of the token text of ``source``; raises :class:`TemplateRefused` when it cannot."""
    from mjml import mjml2html  # the serving process names what is compiled, and never compiles

    try:
        return str(mjml2html(engine_ready(text), fonts={}, **options))
    except ValueError as error:
        raise TemplateRefused([source.fault(0, "mjml", str(error))]) from None
    except BaseException as error:
        # A panic of the engine is no Exception, so that nobody catches it by accident.
        if type(error).__name__ != "PanicException":
            raise
        raise TemplateRefused([source.fault(0, "mjml", "the MJML engine cannot read this")]) from None


def _check_tokens(source: Source, html: str, tokens: Tokens) -> None:
    """Nothing lost, no statement doubled or moved: else a branch would not mean what its author wrote."""
    faults = []
    places = {int(match.group(2)): match.start() for match in TOKEN.finditer(source.text)}
    out = [(kind, int(number)) for kind, number in TOKEN.findall(html) if int(number) in places]
    seen = {number for _, number in out}
    for number, place in places.items():
        if number not in seen:
            faults.append(source.fault(place, "lost", f"{tokens.code[number][1]} has no effect where it stands"))
    group = {number: one for one in tokens.attributes for number in one}
    expected: list[int] = []
    last = -1
    for number in (number for kind, number in out if kind == "s"):
        if expected:
            good = number == expected.pop(0)
        elif number in group:  # the engine may print an attribute more than once, always as a whole
            good = number == group[number][0]
            expected = list(group[number][1:])
        else:
            good, last = number > last, number
        if not good:
            faults.append(source.fault(places[number], "moved", "the layout moves or doubles this branch or loop"))
            break
    _refuse(faults)


def finished(html: str, direction: Direction) -> str:
    """Merge neighbouring Outlook comments, give layout tables their role, mirror for ``rtl``, leave ASCII only."""
    if direction == "rtl":
        html = mirrored(html)
    html = re.sub(r"<!\[endif\]-->\s*<!--\[if mso \| IE\]>", "", html)
    html = re.sub(r"<table(?![^>]*\brole=)", '<table role="presentation"', html)
    return html.encode("ascii", "xmlcharrefreplace").decode()


def mirrored(html: str) -> str:
    """HTML for languages written from right to left: authors and the engine write left for where a line begins."""
    html = _SIDED.sub(lambda match: match.group(1) + _OTHER_SIDE[match.group(2)], html)
    return _FOUR_SIDES.sub(r"\1\2 \5 \4 \3", html)


def _head_delta(bare: str, full: str) -> str:
    """The CSS that only the block brings: whole style elements, or the column rules that one of them gained."""
    known = set(_STYLE.findall(bare))
    rules = {rule.strip() for _, style, _ in known for rule in _RULE.findall(style)}
    delta = []
    for opening, style, closing in _STYLE.findall(full):
        if (opening, style, closing) in known:
            continue
        if ".mj-column-" in style:
            media = re.match(r"\s*@media[^{]*\{", style)
            own = " ".join(rule for rule in map(str.strip, _RULE.findall(style)) if rule not in rules)
            style = f"{media.group(0)} {own} }}" if media else own
        delta.append(f"{opening}{style}{closing}")
    return "".join(delta)


def _html_program(html: str, tokens: Tokens) -> str:
    """Put the Jinja back, each expression with the filter that its place in the HTML needs."""
    parts, position = [], 0
    for match in TOKEN.finditer(html):
        number = int(match.group(2))
        parts.append(_BRACE.sub("{{ '{' }}", html[position : match.start()]))
        parts.append(_code(tokens, number, _place_of(html, match.start(), number, tokens)))
        position = match.end()
    parts.append(_BRACE.sub("{{ '{' }}", html[position:]))
    return "".join(parts)


def _place_of(html: str, position: int, number: int, tokens: Tokens) -> str:
    """The filter for the place where an expression stands: a link or a piece of one, CSS, or none for text."""
    opened, closed = html.rfind("<", 0, position), html.rfind(">", 0, position)
    if opened > closed:
        attribute = re.search(r"([\w:-]+)\s*=\s*\"([^\"]*)$", html[opened:position])
        name = attribute.group(1).lower() if attribute else ""
        if name in tags.URL_ATTRIBUTES:
            return "_piece" if number in tokens.link_pieces else "_url"
        if name not in tags.CSS_ATTRIBUTES:
            return ""
    elif html.rfind("<style", 0, position) <= html.rfind("</style", 0, position):
        return ""
    if re.search(r"url\(\s*['\"]?(?:zq\w+xzq)*$", html[max(0, position - 400) : position]):
        return "_css_url"
    return "_css"


def _text_program(text: str, tokens: Tokens) -> str:
    parts, position = [], 0
    for match in TOKEN.finditer(text):
        number = int(match.group(2))
        parts.append(_BRACE.sub("{{ '{' }}", text[position : match.start()]))
        place = ""
        if match.group(1) in "au":
            place = "_piece" if number in tokens.link_pieces else "_url"
        if match.group(1) == "a":
            place += "|_after"
        code = _code(tokens, number, place)
        parts.append(f"\n\n{code}\n\n" if SLOT.fullmatch(tokens.code[number][1]) else code)
        position = match.end()
    parts.append(_BRACE.sub("{{ '{' }}", text[position:]))
    return "".join(parts)


def _code(tokens: Tokens, number: int, place: str) -> str:
    kind, code = tokens.code[number]
    slot = SLOT.fullmatch(code)
    if slot:
        return f"{{{{ _slot_{slot.group(1)} }}}}"
    inner = code[2:-2].strip("-+ \n\t")
    if kind == "s":
        return f"{{% {inner} %}}"
    return f"{{{{ ({inner})|{place} }}}}" if place else f"{{{{ {inner} }}}}"
