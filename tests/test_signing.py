"""DKIM: what is taken off, what is put on, and that a verifier agrees."""

from __future__ import annotations

import base64
from functools import lru_cache

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from handraiser.errors import SigningFailed
from handraiser.signing import resign, stripped

MAIL = b"From: orders@tents.example\r\nTo: alice@example.com\r\nSubject: Order 1001\r\n\r\nThank you.\r\n"
SIGNED = (
    b"Received: from a\r\nDKIM-Signature: v=1; a=rsa-sha256;\r\n\tb=abc;\r\n d=tents.example\r\nARC-Seal: i=1\r\n"
    b"arc-message-signature: i=1;\r\n\tb=x\r\nARC-Authentication-Results: i=1; x\r\nDomainKey-Signature: a=b\r\n"
)


@lru_cache
def key_pair() -> tuple[bytes, bytes]:
    """A private key in PEM, and its DNS record."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem, b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)


def verified(mail: bytes) -> bool:
    """What a receiver finds who asks the DNS for the key."""

    def record(name: bytes | str, timeout: float = 5) -> bytes:
        assert bytes(name, "ascii") if isinstance(name, str) else name == b"s1._domainkey.tents.example."
        return key_pair()[1]

    return bool(dkim.verify(mail, dnsfunc=record))


def test_signatures_and_nothing_else_are_taken_off():
    assert stripped(SIGNED + MAIL) == b"Received: from a\r\n" + MAIL
    assert stripped(MAIL) == stripped(b"ARC-Seal : i=1\r\n" + MAIL) == MAIL
    body = b"\r\nDKIM-Signature: v=1; this is a text\r\n"
    assert stripped(b"From: a\r\n" + body) == b"From: a\r\n" + body


def test_a_mail_is_signed_anew_and_verifies_until_a_byte_changes():
    signed = resign(SIGNED + MAIL, "tents.example", "s1", key_pair()[0])

    assert signed.lower().count(b"dkim-signature:") == 1
    assert signed.endswith(b"Received: from a\r\n" + MAIL)
    assert verified(signed)
    assert verified(b"Received: from relay\r\n" + signed)
    assert not verified(signed.replace(b"Thank", b"thank"))


@pytest.mark.parametrize(("mail", "key"), [(MAIL, b"no key"), (b"no header\r\n\r\n", None), (b"To: a\r\n\r\n", None)])
def test_what_cannot_be_signed_is_said(mail: bytes, key: bytes | None):
    with pytest.raises(SigningFailed):
        resign(mail, "tents.example", "s1", key or key_pair()[0])


@given(st.binary(max_size=200))
def test_stripping_anything_leaves_a_piece_of_it(raw: bytes):
    left = stripped(SIGNED + raw)

    assert left.startswith(b"Received: from a\r\n")
    assert len(left) <= len(SIGNED + raw)
