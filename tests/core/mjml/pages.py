"""Small pages and blocks to compile, and the two steps that every test takes."""

from __future__ import annotations

from collections.abc import Mapping

from handraiser.core.mjml.compile import Direction, compile_block, compile_page
from handraiser.core.mjml.fill import Block, Engine, Page
from handraiser.core.mjml.program import CompiledBlock, CompiledPage

BARE = "<mjml><mj-body><mj-section><mj-column><mj-text>@</mj-text></mj-column></mj-section></mj-body></mjml>"
"""A page with one text, ``@``."""

SLOTTED = """<mjml>
  <mj-head>
    <mj-title>Order {{ order.number }}</mj-title>
    <mj-attributes><mj-text color="{{ shop.brand.text }}" /></mj-attributes>
  </mj-head>
  <mj-body>
    {{ slot("service") }}
    <mj-section><mj-column><mj-text>{{ order.number }}</mj-text></mj-column></mj-section>
    {{ slot("ask") }}
  </mj-body>
</mjml>"""
"""A page with two slots."""


ASKED = (
    '<a href="{{ ask.url }}">Yes</a> {{ ask.promise.what }}, {{ ask.promise.frequency }}, {{ ask.promise.benefit }} '
    '<a href="{{ ask.decline_url }}">No</a> <a href="{{ ask.never_url }}">Never</a> {{ ask.market_line }}'
)
"""What every block that asks says."""


def compiled_page(
    source: str,
    *,
    parts: Mapping[str, str] | None = None,
    words: Mapping[str, str] | None = None,
    locale: str = "en",
    direction: Direction = "ltr",
) -> CompiledPage:
    return compile_page("page", source, parts or {}, words=words or {}, locale=locale, direction=direction)


def page(source: str, **how: str) -> Page:
    return Engine().load_page(compiled_page(source, **how))


def compiled_block(source: str, *, page: str = SLOTTED, direction: Direction = "ltr") -> CompiledBlock:
    return compile_block("block", source, page=page, parts={}, words={}, locale="en", direction=direction)


def block(source: str, *, page: str = SLOTTED) -> Block:
    return Engine().load_block(compiled_block(source, page=page))
