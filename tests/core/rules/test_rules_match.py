"""Which rule a mail falls under."""

from __future__ import annotations

import pytest

from handraiser.core.rules.file import read_rules
from handraiser.core.rules.match import Heading, ShopRule, candidates, heading_of, objection, settle

RULES = [
    ShopRule("tents", rule)
    for rule in read_rules(
        r"""
version = 1
[[rules]]
id = "off"
enabled = false
type = "order_confirmation"
match = { from = "@tents.example" }
[[rules]]
id = "shopware"
type = "order_confirmation"
[rules.match]
header = { "X-Shopware-Event-Name" = '^checkout\.order\.placed', "X-Sales-Channel" = true }
envelope_from = "@tents.example"
[[rules]]
id = "marked"
type = "order_confirmation"
match = { from = "orders@tents.example", json_ld = "Order" }
[[rules]]
id = "by-subject"
type = "shipping_confirmation"
match = { from = "@tents.example", subject = '(?i)order \d+' }
[[rules]]
id = "rest"
type = "order_confirmation"
match = { from = "orders@tents.example" }
"""
    )
]
OFF, SHOPWARE, MARKED, BY_SUBJECT, REST = (one.rule for one in RULES)
FIELDS = {"x_shopware_event_name": "checkout.order.placed.v2", "x_sales_channel": "7"}
JSON_LD = '<script type="application/ld+json">{"@type": "http://schema.org/Order"}</script>'


def heading(sender: str = "bounce@tents.example", **fields: str) -> Heading:
    return Heading(sender, [(name.replace("_", "-"), value.encode()) for name, value in fields.items()])


def named(found: tuple[ShopRule, ...]) -> list[str]:
    return [one.rule.id for one in found]


def test_every_condition_must_hold_and_what_does_not_is_told():
    whole = heading(**FIELDS)

    assert objection(SHOPWARE, whole) == ""
    assert objection(SHOPWARE, heading("x@other.example", **FIELDS)) == "another envelope sender"
    assert (
        objection(SHOPWARE, heading(x_shopware_event_name="x", x_sales_channel="7")) == "another X-Shopware-Event-Name"
    )
    assert objection(SHOPWARE, heading(x_shopware_event_name="checkout.order.placed")) == "no X-Sales-Channel"
    assert objection(BY_SUBJECT, heading(**{"from": "a@tents.example"}, subject="Hello")) == "another Subject"
    assert objection(BY_SUBJECT, heading(**{"from": "a@boats.example"}, subject="Order 7")) == "another From"
    assert objection(OFF, heading(**{"from": "a@tents.example"})) == "switched off"


def test_a_heading_begins_behind_the_line_of_an_mbox():
    heading = heading_of(b"From orders@tents.example Fri Nov 27 05:00:00 2026\nTo: alice@example.com\n\nTo: x\n", "")

    assert heading.only("to") == "alice@example.com"


def test_the_null_sender_is_nobodys():
    assert objection(SHOPWARE, heading("", x_shopware_event_name="checkout.order.placed", x_sales_channel="7"))


@pytest.mark.parametrize(
    "sender",
    [
        "Orders@Tents.Example",
        "Tents <orders@tents.example>",
        '"Tents, Orders" <orders@tents.example>',
        "<orders@tents.example>",
    ],
)
def test_a_from_is_compared_by_its_address(sender: str):
    assert objection(REST, heading(**{"from": sender})) == ""


@pytest.mark.parametrize(
    "sender",
    [
        "",
        "a@tents.example, orders@tents.example",
        "orders@tents.example.evil.example",
        "tents",
    ],
)
def test_a_from_that_is_not_one_address_of_the_shop_matches_nothing(sender: str):
    assert objection(REST, heading(**{"from": sender})) == "another From"


def test_a_header_that_stands_twice_is_not_what_readers_agree_on():
    assert objection(REST, Heading("", [("from", b"orders@tents.example")] * 2))


def test_the_first_rule_wins_and_the_body_is_asked_only_where_a_rule_wants_it():
    order = heading(**{"from": "orders@tents.example"}, subject="Order 7")

    assert named(candidates(RULES, order)) == ["marked", "by-subject"]
    assert settle(candidates(RULES, order), JSON_LD) == ShopRule(RULES[0].shop, MARKED)
    assert settle(candidates(RULES, order), "<p>") == ShopRule(RULES[0].shop, BY_SUBJECT)
    assert named(candidates(RULES, heading(**{"from": "orders@tents.example"}))) == ["marked", "rest"]


def test_what_no_rule_matches_is_nobodys():
    assert candidates(RULES, heading(**{"from": "alice@example.com"})) == ()
    assert settle([RULES[2]], "<p>") is None
