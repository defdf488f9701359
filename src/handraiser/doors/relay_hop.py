"""The next hop of the relay: connections that are used again, and what the hop answers, word for word."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

import aiosmtplib

from handraiser.doors.mailer import Hop
from handraiser.errors import HandraiserError

IDLE_SECONDS = 20.0
"""How long an unused connection is kept; hops close them after some minutes, and a closed one costs a second try."""

Tls = Literal["auto", "verify", "off"]


class HopAway(HandraiserError):
    """The hop cannot be reached, does not want us, or went away in the middle; what it knows of a mail is unknown."""


class Reply(NamedTuple):
    """One SMTP answer: its code and its lines."""

    code: int
    text: str

    @property
    def good(self) -> bool:
        return 200 <= self.code < 300

    def as_smtp(self) -> str:
        """The answer as lines of SMTP, in ASCII, without the last line's end."""
        lines = self.text.encode("ascii", "replace").decode().splitlines() or [""]
        return "\r\n".join(f"{self.code}{'-' if n < len(lines) else ' '}{line}" for n, line in enumerate(lines, 1))


AWAY = Reply(451, "4.4.1 the next hop is away, try again")
LOST = Reply(451, "4.4.2 the next hop went away, try again")


@dataclass(frozen=True, slots=True)
class Features:
    """What a hop can take; ``size`` in bytes, None for no limit told."""

    utf8: bool = True
    eight_bit: bool = True
    size: int | None = None


class Line:
    """One connection to the hop."""

    def __init__(self, client: aiosmtplib.SMTP, features: Features, data_seconds: float) -> None:
        self._client, self.features, self._data_seconds = client, features, data_seconds
        self.used_before = False
        self.idle_since = 0.0

    @property
    def open(self) -> bool:
        return self._client.is_connected

    async def mail(self, sender: str, options: Sequence[str]) -> Reply:
        return await self._command(b"MAIL", b"FROM:" + _path(sender), *(one.encode("ascii") for one in options))

    async def rcpt(self, recipient: str) -> Reply:
        return await self._command(b"RCPT", b"TO:" + _path(recipient))

    async def rset(self) -> Reply:
        return await self._command(b"RSET")

    async def data(self, content: bytes) -> Reply:
        """Hand the mail over. Line ends become CRLF (RFC 5321 §2.3.8), dots are stuffed."""
        try:
            return Reply(*await self._client.data(content, timeout=self._data_seconds))
        except aiosmtplib.SMTPDataError as error:
            if 400 <= error.code < 600:
                return self._sane(error.code, error.message)
            self.close()  # it took the mail before it was sent, or says what no hop says
            raise HopAway("no answer") from None
        except (aiosmtplib.SMTPException, OSError) as error:
            self.close()
            raise HopAway(type(error).__name__) from None
        except BaseException:
            self.close()
            raise

    async def _command(self, *words: bytes) -> Reply:
        try:
            return self._sane(*await self._client.execute_command(*words))
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            self.close()
            raise HopAway(type(error).__name__) from None
        except BaseException:
            self.close()  # cancelled in between: the answer that is still to come is nobody's
            raise

    def _sane(self, code: int, text: str) -> Reply:
        """An answer as it came; a hop that answers what is none is gone."""
        answers = code // 100 in (2, 4, 5)
        if not answers or code == 421:
            self.close()
        if not answers:
            raise HopAway("no answer")
        return Reply(code, text)

    def close(self) -> None:
        self._client.close()


def _path(address: str) -> bytes:
    return b"<" + address.encode("utf-8", "surrogateescape") + b">"


class Pool:
    """Up to ``most`` connections to one hop."""

    def __init__(self, hop: Hop, *, tls: Tls, name: str, most: int, seconds: float, data_seconds: float) -> None:
        """``name`` is how we greet; ``seconds`` the longest wait for an answer, ``data_seconds`` for that to a mail."""
        self._hop, self._tls, self._name = hop, tls, name
        self._seconds, self._data_seconds = seconds, data_seconds
        self._room = asyncio.Semaphore(most)
        self._idle: list[Line] = []
        self._features: Features | None = None

    async def features(self) -> Features:
        """What the hop can take, as it was last told; while that is unknown and the hop is away, everything."""
        if self._features is None:
            try:
                self.give(await self.take())
            except HopAway:
                return Features()
        return self._features or Features()

    async def take(self, *, fresh: bool = False, seconds: float | None = None) -> Line:
        """A connection for one mail, to be given back; a ``fresh`` one was never used.

        Raises :class:`HopAway`, also when none is free within ``seconds``.
        """
        try:
            async with asyncio.timeout(seconds or self._seconds):
                await self._room.acquire()
        except TimeoutError:
            raise HopAway("every connection is in use") from None
        try:
            while self._idle and not fresh:
                line = self._idle.pop()
                if line.open and time.monotonic() - line.idle_since < IDLE_SECONDS:
                    line.used_before = True
                    return line
                line.close()
            return await self._connected()
        except BaseException:
            self._room.release()
            raise

    def give(self, line: Line) -> None:
        """Give a connection back; one on which a mail was begun must have been reset or closed."""
        self._room.release()
        if line.open:
            line.idle_since = time.monotonic()
            self._idle.append(line)

    async def _connected(self) -> Line:
        hop = self._hop
        verified = self._tls == "verify" or (self._tls == "auto" and hop.starttls is True)
        client = aiosmtplib.SMTP(
            hostname=hop.host,
            port=hop.port,
            use_tls=hop.tls,
            start_tls=False if hop.tls or self._tls == "off" else True if verified else None,
            # Where no password is at stake and nobody asked for more, TLS with anybody is better than none (RFC 7435).
            tls_context=_tls_context(verified=verified or hop.tls),
            local_hostname=self._name,
            username=hop.user or None,
            password=hop.password or None,
            timeout=self._seconds,
        )
        try:
            async with asyncio.timeout(self._seconds):
                await client.connect()
                if client.is_ehlo_or_helo_needed:
                    await client.ehlo()
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            client.close()
            raise HopAway(type(error).__name__) from None
        except BaseException:
            client.close()
            raise
        size = client.esmtp_extensions.get("size", "")
        self._features = Features(
            utf8=client.supports_extension("smtputf8"),
            eight_bit=client.supports_extension("8bitmime"),
            size=int(size) or None if size.isascii() and size.isdigit() else None,
        )
        return Line(client, self._features, self._data_seconds)

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()


@cache
def _tls_context(*, verified: bool) -> ssl.SSLContext:
    """One for all connections: to read the system's certificates takes longer than ten mails."""
    if verified:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
