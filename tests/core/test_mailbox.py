"""All spellings of a mailbox are one; two companies' look-ups of it are unrelated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handraiser.core.mailbox import lookup, normalise_address, read_address, read_mailbox, sole_address, split_mailbox


@pytest.mark.parametrize(
    ("address", "normal"),
    [
        ("alice@example.com", "alice@example.com"),
        ("  Alice@EXAMPLE.com. ", "alice@example.com"),
        ("a.l.i.ce+shop@example.com", "a.l.i.ce+shop@example.com"),
        ("jörg@straße.example", "jörg@xn--strae-oqa.example"),
        ("jo\u0308rg@BÜCHER.example", "jörg@xn--bcher-kva.example"),
        ("a@例え。テスト", "a@xn--r8jz45g.xn--zckzah"),
        ('"a@b"@example.com', '"a@b"@example.com'),
        ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
        ("a@ex\u2024ample..com", "a@ex\u2024ample..com"),
    ],
)
def test_the_spellings_of_a_mailbox_are_one(address: str, normal: str):
    assert normalise_address(address) == normal


@pytest.mark.parametrize("address", ["", "alice", "@example.com", "alice@", " @ ", "alice@."])
def test_what_is_no_address_is_refused(address: str):
    with pytest.raises(ValueError):
        normalise_address(address)


@given(st.emails())
def test_normalising_twice_changes_nothing(address: str):
    assert normalise_address(normalise_address(address)) == normalise_address(address)


@given(st.text(), st.text())
def test_any_text_is_normalised_or_refused(local: str, domain: str):
    try:
        normal = normalise_address(f"{local}@{domain}")
    except ValueError:
        return
    assert normalise_address(normal) == normal


def test_a_look_up_depends_on_pepper_company_and_mailbox_only():
    one = lookup(b"p" * 32, b"c" * 16, "Alice@Example.com")
    assert len(one) == 32
    assert one == lookup(b"p" * 32, b"c" * 16, "alice@example.com")
    others = {
        lookup(b"q" * 32, b"c" * 16, "alice@example.com"),
        lookup(b"p" * 32, b"d" * 16, "alice@example.com"),
        lookup(b"p" * 32, b"c" * 16, "bob@example.com"),
    }
    assert len(others | {one}) == 4


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("alice@example.com", "alice@example.com"),
        (" alice@example.com.\n", "alice@example.com"),
        ("\u200balice@example.com\xa0", "alice@example.com"),
        ("taro..yamada@docomo.example", "taro..yamada@docomo.example"),
        ("o'brien+tag/x=1@sub.example.co", "o'brien+tag/x=1@sub.example.co"),
        ("jörg@straße.example", "jörg@straße.example"),
        ("alice@localhost", "alice@localhost"),
    ],
)
def test_one_address_is_read_and_trimmed(text: str, address: str):
    assert read_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice",
        "@example.com",
        "alice@",
        "alice@example..com",
        "alice@-example.com",
        "alice@exa mple.com",
        "alice@example.com, bob@example.com",
        "alice@example.com;bob@example.com",
        "Alice <alice@example.com>",
        "alice@bob@example.com",
        "alice@example.com\r\nBcc: bob@example.com",
        "ali\u202ece@example.com",
        "=?utf-8?q?alice?=@example.com",
        "x" * 65 + "@example.com",
        "alice@" + "x" * 64 + ".com",
        "alice@ex\u2024ample..com",
        "alice@[192.0.2.1]",
    ],
)
def test_what_is_not_exactly_one_address_is_refused(text: str):
    with pytest.raises(ValueError, match="one address"):
        read_address(text)


@given(st.emails())
def test_every_common_address_is_read_and_reading_twice_changes_nothing(address: str):
    if "=?" not in address:
        assert read_address(read_address(address)) == read_address(address)


@given(st.text())
def test_any_text_is_an_address_or_refused(text: str):
    try:
        address = read_address(text)
    except ValueError:
        return
    assert address.count("@") == 1
    assert read_address(address) == address


def test_a_mailbox_may_have_a_name():
    assert split_mailbox('"Lamp & Lumen" <orders@lumen.example>') == ("Lamp & Lumen", "orders@lumen.example")
    assert split_mailbox("orders@lumen.example") == ("", "orders@lumen.example")
    assert read_mailbox(" <orders@lumen.example> ") == "orders@lumen.example"
    assert read_mailbox(read_mailbox("Lumen <orders@lumen.example>")) == "Lumen <orders@lumen.example>"
    with pytest.raises(ValueError, match="one address"):
        read_mailbox("Lumen <orders@lumen.example>, Bob <bob@example.com>")


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("alice@example.com", "alice@example.com"),
        (" <alice@example.com> ", "alice@example.com"),
        ("Alice <alice@example.com>", "alice@example.com"),
        ('"Doe, Alice" <alice@example.com>', "alice@example.com"),
        ('"bob@example.com" <alice@example.com>', "alice@example.com"),
        ("bob@example.com, Alice <alice@example.com>", ""),
        ("Doe, Alice <alice@example.com>", ""),
        ("alice@example.com, bob@example.com", ""),
        ("A <alice@example.com> B <bob@example.com>", ""),
        ("friends: alice@example.com;", ""),
        ("undisclosed-recipients:;", ""),
        ("", ""),
    ],
)
def test_a_header_names_one_reader_only_where_nobody_could_read_more(header: str, address: str):
    assert sole_address(header) == address
