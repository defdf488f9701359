"""DKIM (RFC 6376): a mail's old signatures taken off, and a new one put on with the shop's own key."""

from __future__ import annotations

import re

from handraiser.errors import SigningFailed

_SIGNATURES = re.compile(
    rb"(?:dkim-signature|domainkey-signature|arc-seal|arc-message-signature|arc-authentication-results)[ \t]*:"
    rb"[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*(?:\r?\n|\Z)",
    re.IGNORECASE,
)
_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*(?:\r?\n|\Z)")


def stripped(raw: bytes) -> bytes:
    """The mail without its DKIM, DomainKeys and ARC signatures; all else as it was."""
    kept, at = [], 0
    while field := _FIELD.match(raw, at):
        if not _SIGNATURES.fullmatch(field[0]):
            kept.append(field[0])
        at = field.end()
    return b"".join((*kept, raw[at:]))


def resign(raw: bytes, domain: str, selector: str, key: bytes) -> bytes:
    """The mail under one signature, RSA-SHA256, relaxed/relaxed, of the whole body. ``key`` is a private key in PEM.

    Raises :class:`SigningFailed`. The library is imported here: only what signs pays for it.
    """
    import dkim

    bare = stripped(raw)
    try:
        header = dkim.sign(bare, selector.encode(), domain.encode(), key, canonicalize=(b"relaxed", b"relaxed"))
    except Exception as error:  # beside its own errors it lets through what its parsers raise
        raise SigningFailed(type(error).__name__) from None
    return bytes(header) + bare
