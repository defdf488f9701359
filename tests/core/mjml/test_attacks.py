"""Nothing hostile goes live: every attack is refused at publish with a place, and what is left says nothing at fill."""

from __future__ import annotations

import pytest

from core.mjml import attacks
from core.mjml.pages import BARE, block, page
from handraiser.core.mjml.fill import Engine
from handraiser.errors import TemplateRefused


@pytest.mark.parametrize("name", sorted(attacks.TEXTS))
def test_an_attack_in_a_text_is_refused_where_it_stands(name: str):
    with pytest.raises(TemplateRefused) as refused:
        block(attacks.in_text(attacks.TEXTS[name]))

    assert all(fault.line == 1 and fault.column >= 1 for fault in refused.value.faults)
    assert refused.value.faults[0].source == "block"


@pytest.mark.parametrize("name", sorted(attacks.BLOCKS))
def test_a_block_that_would_break_its_page_is_refused(name: str):
    with pytest.raises(TemplateRefused):
        block(attacks.BLOCKS[name])


def test_a_key_that_is_not_in_the_data_is_empty_even_if_objects_would_have_it():
    filled = Engine().fill(
        page(BARE.replace("@", "[{{ order.secret }}{{ order.items }}{{ order.keys }}{{ customer.upper }}]")),
        {},
        {"order": {"number": "7"}, "customer": "Alice"},
    )

    assert "[]" in filled.html


def test_an_object_that_got_into_the_data_is_not_opened():
    class Secret:
        secret = "token"

    filled = Engine().fill(page(BARE.replace("@", "[{{ order.secret }}]")), {}, {"order": Secret()})

    assert "[]" in filled.html
