"""A mailbox: what counts as one address, the spelling that all its spellings share, the keyed hash it is found by."""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress

import idna

from handraiser.core.links import mac

_LOCAL = re.compile(r"[^\s@<>()\[\]\\,;:\"]{1,64}")
_DOMAIN = re.compile(
    r"(?!.{254})(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
_NAMED = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]*)>")
# What is copied along with an address from web pages and word processors.
_INVISIBLE = " \t\r\n\xa0\xad\u200b\u200c\u200d\u2060\ufeff"
_SOLE = re.compile(r'(?:\s*"[^"]*"\s*|[^",;:<>]*)<([^<>,;:\s]+)>\s*|\s*([^<>,;:"\s]+)\s*')
_ONE_ADDRESS = "one address such as alice@example.com"


def read_address(text: str) -> str:
    """The one bare address that ``text`` holds, trimmed; international names are welcome on both sides of the @.

    Raises :class:`ValueError` for anything that could be read as more than one address, as a name with an address or
    as an encoded word of a mail header, and for a domain that no mail can go to.
    """
    address = text.strip(_INVISIBLE).removesuffix(".")
    local, _, domain = address.rpartition("@")
    if not address.isprintable() or "=?" in address or not _LOCAL.fullmatch(local):
        raise ValueError(_ONE_ADDRESS)
    try:
        ascii_domain = domain if domain.isascii() else idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise ValueError(_ONE_ADDRESS) from None
    if not _DOMAIN.fullmatch(ascii_domain):
        raise ValueError(_ONE_ADDRESS)
    return address


def read_mailbox(text: str) -> str:
    """``address`` or ``Name <address>``, trimmed; raises :class:`ValueError` where :func:`read_address` would."""
    name, address = split_mailbox(text)
    return f"{name} <{read_address(address)}>" if name else read_address(address)


def split_mailbox(text: str) -> tuple[str, str]:
    """(display name or "", address) of ``address`` or ``Name <address>``; neither is checked."""
    named = _NAMED.fullmatch(text.strip())
    return (named["name"].strip().strip('"').strip(), named["address"].strip()) if named else ("", text.strip())


def sole_address(header: str) -> str:
    """The address of a decoded From or To header that holds exactly one; "" where it could be read as more, or none."""
    found = _SOLE.fullmatch(header)
    try:
        return read_address(found[1] or found[2]) if found else ""
    except ValueError:
        return ""


def normalise_address(address: str) -> str:
    """The address in NFC, trimmed, lower-cased, its domain in IDNA (``xn--``) form.

    Dots and plus parts stay: only the mailbox's own provider knows whether they mean another mailbox. A domain that
    IDNA refuses stays in lower case. Raises :class:`ValueError` for a text without a local part or a domain.
    """
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", address).strip().lower())
    local, _, domain = text.rpartition("@")
    domain = domain.removesuffix(".")
    if not domain.isascii():
        with suppress(idna.IDNAError):
            domain = idna.encode(domain, uts46=True).decode("ascii").removesuffix(".")
    if not local or not domain:
        raise ValueError("an address needs a local part, @ and a domain")
    return f"{local}@{domain}"


def lookup(pepper: bytes, controller_id: bytes, address: str) -> bytes:
    """HMAC-SHA256(pepper, controller id ‖ normalised address): 32 bytes.

    The controller's 16 bytes lead, so that one mailbox has unrelated hashes at two companies.
    """
    return mac(pepper, controller_id + normalise_address(address).encode())


def masked(address: str) -> str:
    """The address as its owner recognises it and nobody else can read it: ``j•••@e…``."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}•••@{domain[:1]}…"
