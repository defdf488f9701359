"""A token is 51 characters, has one spelling, and nothing but what we signed is read."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handraiser.core.links import NONCE_LIFE_MS, Link, LinkKind, Links, SigningKey
from handraiser.errors import BadLink, BadNonce
from rows import NOW, an_id

OLD, NEW = SigningKey(1, b"o" * 32), SigningKey(2, b"n" * 32)
LINKS = Links([OLD, NEW])
LINK = Link(7, an_id(1), LinkKind.OPT_IN)
TOKEN = LINKS.sign(LINK)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
any_link = st.builds(Link, st.integers(1, 2**24 - 1), st.binary(min_size=16, max_size=16), st.sampled_from(LinkKind))


@given(any_link)
def test_a_token_reads_back_and_has_51_characters(link):
    token = LINKS.sign(link)

    assert len(token) == 51
    assert LINKS.read(token) == link


@settings(max_examples=300)
@given(st.integers(0, 50), st.sampled_from(ALPHABET + ".=~ é"))
def test_a_token_with_one_other_character_is_none(place, character):
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]

    if changed != TOKEN:
        with pytest.raises(BadLink):
            LINKS.read(changed)


@given(st.text(max_size=60))
def test_no_text_is_mistaken_for_a_token(text):
    with pytest.raises(BadLink):
        LINKS.read(text)


def test_the_last_character_has_one_spelling():
    others = [TOKEN[:-1] + one for one in ALPHABET if one != TOKEN[-1]]

    for spelling in [*others, TOKEN + "=", TOKEN + "==", TOKEN + "\n", " " + TOKEN]:
        with pytest.raises(BadLink):
            LINKS.read(spelling)


def test_a_kind_cannot_be_swapped_for_another():
    packed = bytearray(base64.urlsafe_b64decode(TOKEN[:28]))
    for kind in range(256):
        packed[20] = kind
        swapped = base64.urlsafe_b64encode(bytes(packed)).decode() + TOKEN[28:]
        if swapped != TOKEN:
            with pytest.raises(BadLink):
                LINKS.read(swapped)


def test_old_keys_still_read_and_the_newest_signs():
    assert LINKS.read(Links([OLD]).sign(LINK)) == LINK
    assert LINKS.read(Links([NEW]).sign(LINK)) == LINK
    with pytest.raises(BadLink):
        Links([OLD]).read(TOKEN)


def test_a_key_for_leaving_only_reads_nothing_else():
    rest = Links([SigningKey(1, OLD.secret, withdraw_only=True), NEW])
    before = Links([OLD])
    leave = Link(7, an_id(2), LinkKind.WITHDRAW)

    assert rest.read(before.sign(leave)) == leave
    with pytest.raises(BadLink):
        rest.read(before.sign(LINK))


def test_without_a_key_that_signs_there_are_no_links():
    with pytest.raises(ValueError, match="signing key"):
        Links([SigningKey(1, b"o" * 32, withdraw_only=True)])


@pytest.mark.parametrize("age", [0, 1, NONCE_LIFE_MS, -59_000])
def test_a_nonce_holds_for_an_hour(age):
    LINKS.check_nonce(LINKS.nonce(an_id(1), NOW), an_id(1), NOW + age)


@pytest.mark.parametrize("age", [NONCE_LIFE_MS + 1, -61_000])
def test_a_nonce_of_another_time_is_none(age):
    with pytest.raises(BadNonce, match="old"):
        LINKS.check_nonce(LINKS.nonce(an_id(1), NOW), an_id(1), NOW + age)


@pytest.mark.parametrize("nonce", ["", ".", "0.", "zz.AAAAAAAAAAAAAAAAAAAAAA", "1" * 99, "1f.AAAAAAAAAAAAAAAAAAAAAA"])
def test_a_forged_nonce_is_none(nonce):
    with pytest.raises(BadNonce):
        LINKS.check_nonce(nonce, an_id(1), NOW)


def test_a_nonce_is_bound_to_what_it_was_made_for():
    with pytest.raises(BadNonce):
        LINKS.check_nonce(LINKS.nonce(an_id(1), NOW), an_id(2), NOW)


def test_a_nonce_served_before_a_rotation_still_holds():
    LINKS.check_nonce(Links([OLD]).nonce(an_id(1), NOW), an_id(1), NOW)
