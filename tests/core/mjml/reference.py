"""The slow and obvious way to make an email: fill the Jinja in the MJML, then compile that; for comparing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jinja2
from markupsafe import Markup, escape
from mjml import mjml2html

from handraiser.core.mjml.compile import Direction, finished
from handraiser.core.mjml.source import Source, engine_ready, fold_words, put_parts_in


def _ascii(value: str) -> Markup:
    return Markup(str(escape(value)).encode("ascii", "xmlcharrefreplace").decode())


def _said(value: Any) -> Any:
    return value if isinstance(value, Markup) else _ascii("" if value is None else str(value))


_ENVIRONMENT = jinja2.Environment(autoescape=True, undefined=jinja2.ChainableUndefined, finalize=_said)
_ENVIRONMENT.filters["lines"] = lambda value: Markup("<br />").join(_ascii(line) for line in str(value).splitlines())


def per_email(
    page: str,
    parts: Mapping[str, str],
    blocks: Mapping[str, str],
    context: Mapping[str, Any],
    *,
    words: Mapping[str, str],
    locale: str,
    direction: Direction,
) -> str:
    """The whole HTML of one email; ``blocks`` are the sources that stand in the slots."""
    source = fold_words(put_parts_in(Source.of("page", page), parts), words).text
    source = re.sub(r'\{\{ slot\("(\w+)"\) \}\}', lambda slot: blocks.get(slot.group(1), ""), source)
    source = re.sub(r"<mjml[^>]*>", f'<mjml lang="{locale}" dir="{direction}">', source)
    filled = _ENVIRONMENT.from_string(source).render(context)
    return finished(mjml2html(engine_ready(filled), fonts={}), direction)


def body(html: str) -> str:
    """What is below the head, without the white space that no reader sees and with all neighbouring comments merged."""
    found = html.partition("</head>")[2].replace("<br />", "<br>")
    found = re.sub(r">\s+|\s+<", lambda blank: blank.group(0).strip(), re.sub(r"\s+", " ", found))
    return found.replace("<![endif]--><!--[if mso | IE]>", "")


def rules(html: str) -> set[str]:
    """Every style rule of the head."""
    styles = re.findall(r"<style[^>]*>(.*?)</style>", html.partition("</head>")[0], re.DOTALL)
    return {re.sub(r"\s+", " ", rule).strip() for style in styles for rule in re.findall(r"[^{}]+\{[^{}]*\}", style)}
