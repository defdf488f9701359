"""Our own mail out: one SMTP hop (RFC 5321), over TLS where it offers or is told to (RFC 3207, RFC 8314)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit

import aiosmtplib
import idna

from handraiser.core.confirmation import Letter
from handraiser.store.outbox import Later, OutboxRow, Outcome, Overtaken, Refused, Sent

SECONDS = 30.0
"""Longest wait for one answer of the hop; RFC 5321 §4.5.3.2 allows minutes, the outbox tries again instead."""
_ENHANCED = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")


@dataclass(frozen=True, slots=True)
class Hop:
    """Where our own mail goes first, read from ``smtp://[user:password@]host[:port]`` or ``smtps://…``.

    ``smtp`` (port 587 with a user, else 25) uses STARTTLS where the hop offers it, and insists on it before a password
    leaves this machine; ``smtps`` (port 465) speaks TLS from the first byte.
    """

    host: str
    port: int
    tls: bool
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def read(cls, url: str) -> Self:
        """The hop of a checked ``smtp_url``."""
        parts = urlsplit(url)
        tls, user = parts.scheme == "smtps", unquote(parts.username or "")
        port = parts.port or (465 if tls else 587 if user else 25)
        return cls(parts.hostname or "", port, tls, user, unquote(parts.password or ""))

    @property
    def starttls(self) -> bool | None:
        """True insists, None takes what is offered, False never."""
        if self.tls:
            return False
        return True if self.user and not _here(self.host) else None


Write = Callable[[OutboxRow], Awaitable[Letter | None]]
"""Writes the mail of an outbox row, or says None when nobody wants it any more."""


class Mailer:
    """The outbox's carrier ``mail``: has each mail written when its turn comes, and hands it to the hop."""

    def __init__(self, hop: Hop, letters: Mapping[str, Write], *, seconds: float = SECONDS) -> None:
        """``letters`` writes the mail of a row by the row's event."""
        self._hop, self._letters, self._seconds = hop, letters, seconds

    async def carry(self, row: OutboxRow) -> Outcome:
        """Hand one mail over. Only what the hop says of this recipient or this mail is final; a hop that is away, busy,
        or does not want us (login, sender) is our own fault, and is tried again."""
        write = self._letters.get(row.event)
        if write is None:
            return Refused("unknown_event")
        letter = await write(row)
        if letter is None:
            return Overtaken()
        try:
            return await self._send(letter)
        except aiosmtplib.SMTPResponseException as error:
            return Later(_code(error.code, error.message))
        except aiosmtplib.SMTPException as error:
            return Later(type(error).__name__)
        except (OSError, TimeoutError) as error:
            return Later(type(error).__name__)

    async def _send(self, letter: Letter) -> Outcome:
        hop = self._hop
        client = aiosmtplib.SMTP(
            hostname=hop.host,
            port=hop.port,
            use_tls=hop.tls,
            start_tls=hop.starttls,
            username=hop.user or None,
            password=hop.password or None,
            timeout=self._seconds,
        )
        async with client:
            recipient = _envelope(letter.recipient)
            options = [] if recipient.isascii() else ["SMTPUTF8", "BODY=8BITMIME"]
            if options and not client.supports_extension("smtputf8"):
                return Refused("no_smtputf8")
            await client.mail(_envelope(letter.sender), options=options, encoding="utf-8")
            try:
                await client.rcpt(recipient, encoding="utf-8")
                await client.data(letter.content)
            except (aiosmtplib.SMTPRecipientRefused, aiosmtplib.SMTPDataError) as error:
                code = _code(error.code, error.message)
                return Refused(code) if error.code >= 500 else Later(code)
        return Sent()


def carriers(smtp_url: str, letters: Mapping[str, Write]) -> dict[str, Mailer]:
    """The carrier ``mail``; none without an ``smtp_url``: then our mails wait in the outbox."""
    if not smtp_url:
        return {}
    return {"mail": Mailer(Hop.read(smtp_url), letters)}


def _code(code: int, message: str) -> str:
    """What the hop answered, as codes alone (RFC 3463): its words may name the address."""
    enhanced = _ENHANCED.search(message)
    return f"{code} {enhanced[1]}" if enhanced else str(code)


def _envelope(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain if domain.isascii() else idna.encode(domain, uts46=True).decode('ascii')}"


def _here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
