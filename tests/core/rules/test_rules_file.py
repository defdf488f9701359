"""The rules file: what it may say, and every fault of it told at once, with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handraiser.core.rules.file import FIELDS, RULES_BYTES, Extract, Match, read_rules
from handraiser.core.rules.pattern import PATTERN_LENGTH, find, pattern_fault
from handraiser.errors import TemplateRefused
from handraiser.template_files import read_shop_rules

SHIPPED = Path(__file__).parents[3] / "templates"
GUIDE = SHIPPED.parent / "docs" / "guide" / "relay.md"
LEAST = 'version = 1\n[[rules]]\nid = "order"\ntype = "order_confirmation"\nmatch = { subject = "order" }\n'


def faults(source: str) -> list[str]:
    with pytest.raises(TemplateRefused) as refused:
        read_rules(source)
    return [str(fault) for fault in refused.value.faults]


def test_the_rules_that_are_shipped_are_good():
    rules, wrong = read_shop_rules(SHIPPED)

    assert [(one.shop, one.rule.id) for one in rules] == [("fjell-fjord", "order"), ("fjell-fjord", "shipping")]
    assert wrong == []


def test_the_rules_of_the_guide_are_good():
    (shown,) = re.findall(r"^```toml\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    order, shipping = read_rules(shown)

    assert order.soft_opt_in
    assert order.soft_opt_in.checkout_text == "check-out v7"
    assert not shipping.enabled
    assert all(
        f"`{name}`" in GUIDE.read_text()
        for name in (*FIELDS, *order.place.anchors, *Match.model_fields)
        if name != "sender"
    )


def test_a_small_rule_passes_signed_mail_and_tries_every_place():
    (rule,) = read_rules(LEAST)

    assert rule.enabled
    assert rule.dkim.policy == "pass"
    assert rule.place.anchors == ("marker", "css", "before_footer", "body_end", "document_end")
    assert (rule.place.text, rule.copies, rule.soft_opt_in) == ("before_signature", (), None)


def test_addresses_are_compared_in_one_spelling():
    (rule,) = read_rules(LEAST + 'copies = "Archive@TENTS.example"\n[rules.extract]\n')
    (other,) = read_rules(LEAST.replace('subject = "order"', 'from = ["@Bücher.example", "Orders@Tents.Example"]'))

    assert rule.copies == ("archive@tents.example",)
    assert other.match.sender == ("@xn--bcher-kva.example", "orders@tents.example")


def test_every_field_that_can_be_read_out_has_a_name_in_the_file():
    assert set(Extract.model_fields) == set(FIELDS)


EVERY_FAULT = r"""version = 2
color = "red"

[[rules]]
id = "Order 1"
typ = "order"
match = { subjct = "x", from = "no address" }
[rules.extract]
order_number = { subject = '(', json_ld = "orderNumber" }
order_value = { text = '(\d+', pattern = 'x' }
language = { value = "de", pattern = "x" }
customer_kindd = { value = "new" }
[rules.place]
anchors = ["marker", "foot"]
css = [{ selector = "", position = "above" }]

[[rules]]
id = "b"
type = "order_confirmation"
[rules.match.header]
"X-Shop" = '(?=a)'
[rules.soft_opt_in]
notice_at_collection = true
similar_goods = true
approved_by = ""
approved_on = "yesterday"
[rules.dkim]
policy = "resign"

[[rules]]
id = "c"
type = "order_confirmation"
match = {}
copies = ["@tents.example"]

[[rules]]
id = "d"
type = "order_confirmation"
match = { json_ld = "Order" }
place = { anchors = ["marker", "marker"] }
"""


def test_all_faults_are_told_at_once_each_with_its_line_its_pointer_and_what_was_meant():
    found = faults(EVERY_FAULT)

    for line, pointer, words in (
        (1, "/version", "1"),
        (2, "/color", "there is no such name"),
        (5, "/rules/0/id", "match pattern"),
        (4, "/rules/0/type", "required"),
        (6, "/rules/0/typ", r"\(type\)"),
        (7, "/rules/0/match/from/0", "one address"),
        (7, "/rules/0/match/subjct", r"\(subject\)"),
        (9, "/rules/0/extract/order_number/0/subject", r"missing \)"),
        (10, "/rules/0/extract/order_value/0/text", r"missing \)"),
        (11, "/rules/0/extract/language/0", "pattern belongs to"),
        (12, "/rules/0/extract/customer_kindd", r"\(customer_kind\)"),
        (14, "/rules/0/place/anchors/1", "'before_footer'"),
        (15, "/rules/0/place/css/0/selector", "at least 1 character"),
        (15, "/rules/0/place/css/0/position", "'prepend'"),
        (21, "/rules/1/match/header/X-Shop", r"\(\?="),
        (25, "/rules/1/soft_opt_in/approved_by", "at least 1"),
        (26, "/rules/1/soft_opt_in/approved_on", "date"),
        (22, "/rules/1/soft_opt_in/checkout_text", "required"),
        (27, "/rules/1/dkim", "resign needs domain, selector and key_file"),
        (33, "/rules/2/match", "at least one condition"),
        (34, "/rules/2/copies/0", "one address"),
        (40, "/rules/3/place/anchors", "at most once"),
    ):
        told = [one for one in found if one.startswith(f"rules.toml:{line}:1: {pointer}: ")]
        assert told, (pointer, found)
        assert re.search(words, told[0]), told
    assert len(found) == 22


def test_an_id_stands_for_one_rule():
    assert "twice: order" in faults(LEAST + LEAST.partition("\n")[2])[0]


def test_what_is_no_toml_is_told_with_line_and_column():
    assert faults("version = 1\n[[rules]\n") == ["rules.toml:2:8: Expected ']]' at the end of an array declaration"]
    assert faults(LEAST + "#" * RULES_BYTES)[0].endswith(f"more than {RULES_BYTES} characters")


@pytest.mark.parametrize(
    "source", ["", "rules = 3\nversion = 1", "version = 1\nrules = [3]", 'version = 1\nrules = {a="b"}']
)
def test_a_file_of_another_form_is_refused(source: str):
    assert faults(source)


def test_a_broken_file_costs_its_own_shop_its_rules_and_no_other(tmp_path: Path):
    for slug, content in (("boats", b"\xff"), ("lamps", b"version = 3"), ("tents", LEAST.encode())):
        (tmp_path / "shops" / slug).mkdir(parents=True)
        (tmp_path / "shops" / slug / "rules.toml").write_bytes(content)

    rules, wrong = read_shop_rules(tmp_path)

    assert [one.shop for one in rules] == ["tents"]
    assert [fault.source for fault in wrong] == ["boats/rules.toml", "lamps/rules.toml", "lamps/rules.toml"]


# --- patterns --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["(a+)+$", r"(\w+\s?)*$", "(a|a)*$", "(.*)*x", "(a*)*b", r"\s*\s*\s*\s*\s*x"])
def test_a_pattern_made_to_stall_takes_time_in_proportion_to_the_mail(pattern: str):
    import time

    before = time.process_time()
    find(pattern, "a " * 50_000 + "a" * 50_000 + " " * 50_000 + "!")

    assert time.process_time() - before < 2, "backtracking would take years"


@pytest.mark.parametrize("pattern", [r"(a)\1", "(?=a)", "(?<!a)b", "(", "x{2000}", "a" * (PATTERN_LENGTH + 1), "[z-a]"])
def test_what_is_no_pattern_of_linear_time_is_refused(pattern: str):
    assert pattern_fault(pattern)


@given(st.text(max_size=40), st.text(max_size=80))
def test_any_text_is_a_pattern_that_works_or_one_that_is_refused(pattern: str, text: str):
    if not pattern_fault(pattern):
        found = find(pattern, text)
        assert found is None or isinstance(found, str)


def test_the_first_group_is_what_was_meant():
    assert find(r"(?i)bestellung (\d+) für (\w+)", "Ihre BESTELLUNG 1001 für Alice") == "1001"
    assert find(r"\d+", "Nr. 1001") == "1001"
    assert find(r"a(b)?", "a") is None
    assert find("x", "\ud800x") == "x"
