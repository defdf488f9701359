"""Links that a shop's own template signs: anybody can sign them who knows the secret, nobody else."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asked import BOAT, TENT
from handraiser.core.links import SigningKey
from handraiser.core.order_links import OrderLinks

LINKS = OrderLinks([SigningKey(1, b"k" * 32)])


def signed(secret: str, order_id: str) -> str:
    """As Liquid's ``hmac_sha256`` and PHP's ``hash_hmac`` do it."""
    return hmac.new(secret.encode(), order_id.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def test_the_signature_is_the_one_of_liquids_filter():
    expected = "8e0d5d65cff1242a4af66c8f4a32854fd5fb80edcc8aabe9b302b29c7c71dc20"
    assert signed("Polina", "Polyjuice") == expected, "the example of Shopify's own reference"


@settings(deadline=None)
@given(st.text(max_size=40))
def test_what_the_shop_signed_fits_whatever_its_order_ids_look_like(order_id: str):
    signature = signed(LINKS.secret(TENT), order_id)
    assert LINKS.fits(TENT, order_id, signature)
    assert not LINKS.fits(TENT, order_id + "1", signature)
    assert not LINKS.fits(BOAT, order_id, signature)


@pytest.mark.parametrize("signature", ["", "0" * 64, "é" * 64, "0" * 63, "0" * 65])
def test_what_is_no_signature_does_not_fit(signature: str):
    assert not LINKS.fits(TENT, "1001", signature)
    assert not LINKS.fits(TENT, "1001", signed(LINKS.secret(TENT), "1001").upper())


def test_after_a_rotation_the_last_secret_is_good_once_more():
    signature = signed(LINKS.secret(TENT), "1001")
    rotated, twice = (replace(TENT, link_generation=TENT.link_generation + n) for n in (1, 2))
    assert LINKS.secret(rotated) != LINKS.secret(TENT)
    assert LINKS.fits(rotated, "1001", signature)
    assert not LINKS.fits(twice, "1001", signature)


def test_a_new_signing_key_gives_a_new_secret_and_the_old_one_stays_good_while_its_key_signs():
    old, new = SigningKey(1, b"k" * 32), SigningKey(2, b"n" * 32)
    signature = signed(LINKS.secret(TENT), "1001")
    both = OrderLinks([old, new])
    assert both.secret(TENT) == OrderLinks([new]).secret(TENT)
    assert both.fits(TENT, "1001", signature)
    assert not OrderLinks([replace(old, withdraw_only=True), new]).fits(TENT, "1001", signature)
