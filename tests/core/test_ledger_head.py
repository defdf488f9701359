"""A head is signed over all of it, and reads the same from the line it is kept in."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from handraiser.core.ledger_head import Head, HeadKeys, from_line, to_line

OLD, NEW = (1, b"o" * 40), (2, b"n" * 40)
KEYS = HeadKeys([OLD, NEW])
HEAD = KEYS.sign(Head(b"c" * 16, 3, 250, b"r" * 32, 1_790_000_000_000))


def test_the_newest_key_signs_and_older_ones_go_on_proving():
    assert (HEAD.kid, KEYS.proves(HEAD)) == (2, True)
    before = HeadKeys([OLD]).sign(HEAD)
    assert (before.kid, KEYS.proves(before)) == (1, True)
    assert not HeadKeys([OLD]).proves(HEAD)
    assert not HeadKeys([(2, b"x" * 40)]).proves(HEAD)


CHANGES = {
    "controller_id": b"d" * 16,
    "batch_no": 4,
    "tree_size": 249,
    "root": b"s" * 32,
    "sealed_at": HEAD.sealed_at + 1,
    "kid": 1,
    "signature": bytes(64),
}


@pytest.mark.parametrize("name", [field.name for field in fields(Head)])
def test_a_head_with_another_value_was_not_signed(name: str):
    assert not KEYS.proves(replace(HEAD, **{name: CHANGES[name]}))


@pytest.mark.parametrize("name", ["batch_no", "tree_size", "sealed_at", "kid"])
def test_a_head_with_an_impossible_number_was_not_signed(name: str):
    assert not KEYS.proves(replace(HEAD, **{name: -1}))


def test_anybody_can_check_a_head_with_the_public_key():
    public = Ed25519PublicKey.from_public_bytes(KEYS.public_key(2))
    public.verify(HEAD.signature, HEAD.signed_bytes)
    with pytest.raises(InvalidSignature):
        public.verify(HEAD.signature, replace(HEAD, tree_size=251).signed_bytes)


def test_a_kept_line_reads_as_the_head_it_was_made_of():
    line = to_line(HEAD, KEYS.public_key(2))
    assert "\n" not in line
    assert from_line(line) == HEAD


@given(st.text() | st.sampled_from(["{}", "[]", "null", '{"controller":1}']))
def test_what_is_no_head_reads_as_none(text: str):
    assert from_line(text) is None


@given(st.data())
def test_a_cut_or_changed_line_is_no_head_of_ours(data: st.DataObject):
    line = to_line(HEAD, KEYS.public_key(2))
    at = data.draw(st.integers(0, len(line) - 1))
    other = data.draw(st.sampled_from("0af1{}") | st.just(""))
    changed = line[:at] + other + line[at + 1 :]
    read = from_line(changed)
    # The public key in the line is there for others; we prove with our own.
    assert read is None or read == HEAD or not KEYS.proves(read)
