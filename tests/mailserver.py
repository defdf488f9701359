"""A real SMTP server on a loopback port, in the test's own event loop: what a hop takes, puts off and refuses."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from running import free_port


@dataclass
class Inbox:
    """A hop. ``says_to`` and ``says_data`` are its answers to RCPT and DATA ("" takes the mail); the first ones of
    ``puts_off`` come before them."""

    port: int = field(default_factory=free_port)
    says_to: str = ""
    says_data: str = ""
    puts_off: list[str] = field(default_factory=list)
    password: str = ""
    tls: ssl.SSLContext | None = None
    international: bool = True
    envelopes: list[Envelope] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def mails(self) -> list[EmailMessage]:
        """What arrived, parsed."""
        return [read(one) for one in self.envelopes]

    async def next(self) -> EmailMessage:
        """Wait until one more mail arrives."""
        async with asyncio.timeout(10):
            await self.arrived.wait()
        self.arrived.clear()
        return self.mails[-1]

    async def handle_RCPT(
        self, _server: Any, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if self.puts_off:
            return self.puts_off.pop(0)
        if self.says_to:
            return self.says_to
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Session, envelope: Envelope) -> str:
        if self.says_data:
            return self.says_data
        self.envelopes.append(envelope)
        self.arrived.set()
        return "250 OK"

    def _login(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        return AuthResult(success=given.password == self.password.encode(), handled=False)

    def _smtp(self) -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it warns of logins without TLS, which loopback may have
            return SMTP(
                # It looks at every attribute of what it is given, at every connection: it shall not parse all mails.
                SimpleNamespace(handle_RCPT=self.handle_RCPT, handle_DATA=self.handle_DATA),
                hostname="hop.example",
                enable_SMTPUTF8=self.international,
                authenticator=self._login if self.password else None,
                auth_required=bool(self.password),
                auth_require_tls=False,
                tls_context=self.tls,
            )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Inbox]:
        """Listen."""
        spoken: list[SMTP] = []

        def speaks() -> SMTP:
            spoken.append(self._smtp())
            return spoken[-1]

        server = await asyncio.get_running_loop().create_server(speaks, "127.0.0.1", self.port)
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()
            for one in spoken:
                if one.transport is not None:
                    one.transport.close()
            await asyncio.sleep(0.01)  # each notices that its connection ended


def read(envelope: Envelope) -> EmailMessage:
    """A mail as a mail program reads it."""
    parsed = email.message_from_bytes(envelope.content or b"", policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def links_of(mail: EmailMessage) -> list[str]:
    """The links of the text part, in order: the button, no thanks, never."""
    part = mail.get_body(("plain",))
    assert part is not None
    return re.findall(r"https?://\S+/[oup]/\S+", part.get_content())


def context_of(certificate: Path) -> ssl.SSLContext:
    """A server's TLS with a certificate and its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
