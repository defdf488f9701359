"""One SMTP session of the relay's client (RFC 5321), over aiosmtpd: the traps of its defaults taken out.

What a command asks for is answered by :class:`Talk`; here is what SMTP itself wants.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

log = logging.getLogger("handraiser.relay")

TROUBLE = "451 4.3.0 trouble here, try again"
ATTEMPTS = 5
"""Log-ins tried in one session."""

_PATH = re.compile(r"\s*<((?:\"(?:[^\"\\]|\\.)*\"|[^<>\"])*)>\s*(.*)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAIL_AUTH = re.compile(r"(>.*?)\s+AUTH=\S+", re.IGNORECASE | re.DOTALL)
_CODE = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b")
_DETAIL = {
    "500": "5.2",
    "501": "5.4",
    "502": "5.1",
    "503": "5.1",
    "504": "5.4",
    "530": "7.0",
    "552": "3.4",
    "555": "5.4",
}
_SMUGGLED = re.compile(rb"(?:(?<!\r)\n|\r(?!\n))\.(?:\r|\n)|\r\n\.(?:\n|\r(?!\n))")
_ALONE = re.compile(rb"[\r\n]\.[\r\n]")
"""Beside the end every dot that may be smuggled: found in a quarter of the time."""
_END = b"\r\n.\r\n"


class Talk(Protocol):
    """What the relay answers to one client; each answer is one or more whole lines of SMTP."""

    async def extensions(self) -> tuple[int, list[str]]:
        """The largest mail in bytes, and the lines of EHLO that the next hop decides."""

    async def mail(self, sender: str, options: list[str], *, utf8: bool) -> str: ...

    async def rcpt(self, recipient: str) -> str: ...

    def refusal(self) -> str:
        """Why no mail can be taken now; "" when it can."""

    async def data(self, content: bytes, session: Session) -> str: ...

    async def forget(self) -> None:
        """The mail that was begun is given up."""

    def gone(self, session: Session) -> None:
        """The connection ended."""


class Session(SMTP):
    """The server's side of one connection."""

    # Commands are read with this limit; mail is read in pieces, and its lines may be of any length.
    line_length_limit = 65_536
    command_size_limit = 4096
    AuthLoginUsernameChallenge = "Username:"
    AuthLoginPasswordChallenge = "Password:"

    def __init__(
        self,
        talk: Talk,
        admit: Callable[[Session], str],
        authenticate: Callable[[bytes, bytes], bool] | None,
        **given: Any,
    ) -> None:
        """``admit`` says why a peer is not wanted, "" when it is; without ``authenticate`` nobody can log in."""
        self.talk, self._admit, self._check = talk, admit, authenticate
        self.busy = False
        self._plain_answers = False
        self._lines: list[str] = []
        # The library's own is shared by all sessions, and grows with each EHLO.
        self.command_size_limits = defaultdict(lambda: self.command_size_limit)
        super().__init__(
            self,
            enable_SMTPUTF8=True,
            authenticator=self._login if authenticate else None,
            auth_exclude_mechanism=() if authenticate else ("LOGIN", "PLAIN"),
            command_call_limit={"AUTH": ATTEMPTS, "*": 2**31},
            **given,
        )
        self._auth_required = authenticate is not None

    # --- the connection ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        first = self._original_transport is None
        super().connection_made(transport)
        if first and (refusal := self._admit(self)):
            assert isinstance(transport, asyncio.WriteTransport)
            transport.write(f"{refusal}\r\n".encode())
            transport.close()
            if self._handler_coroutine is not None:
                self._handler_coroutine.cancel()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.talk.gone(self)

    @property
    def peer(self) -> str:
        """The client's network address."""
        name = self.session.peer if self.session else None
        return str(name[0]) if isinstance(name, tuple) else ""

    def goodbye(self) -> None:
        """End the session of a client that waits for nothing."""
        if self.transport is not None and not self.busy and not self.transport.is_closing():
            assert isinstance(self.transport, asyncio.WriteTransport)
            self.transport.write(b"421 4.3.2 shutting down, try again\r\n")
            self.transport.close()

    # --- answers -----------------------------------------------------------------------------------------------------

    async def push(self, status: Any) -> None:
        """Send one answer, each line with an enhanced status code (RFC 2034)."""
        text = status.decode("ascii", "replace") if isinstance(status, bytes) else str(status)
        # Some answers of the library quote the client, who may have said anything.
        text = "\r\n".join(_CONTROL.sub("?", line) for line in text.split("\r\n"))
        if not self._plain_answers and not text.startswith("220 "):
            text = "\r\n".join(map(_with_code, text.split("\r\n")))
        await super().push(text.encode("ascii", "replace"))

    async def handle_exception(self, error: Exception) -> str:
        """Whatever goes wrong here is no fault of the mail: the client shall try again."""
        log.error("a session's command failed", exc_info=error)
        await self._begin_anew()
        return TROUBLE

    # --- commands ----------------------------------------------------------------------------------------------------

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """The address as written, for the next hop to judge, and what stands behind it; ``<>`` is the null sender."""
        path = _PATH.fullmatch(arg)
        if path is None or _CONTROL.search(path[1]):
            return None, None
        return path[1] or "<>", path[2]

    async def smtp_HELO(self, hostname: str) -> None:
        await self._greeted(super().smtp_HELO(hostname))

    async def smtp_EHLO(self, hostname: str) -> None:
        self.data_size_limit, self._lines = await self.talk.extensions()
        await self._greeted(super().smtp_EHLO(hostname))

    async def _greeted(self, answer: Awaitable[None]) -> None:
        await self.talk.forget()
        self._plain_answers = True
        try:
            await answer
        finally:
            self._plain_answers = False

    async def handle_HELO(self, _server: Any, session: Any, _envelope: Any, hostname: str) -> str:
        session.host_name = hostname
        return f"250 {self.hostname}"

    async def handle_EHLO(
        self, _server: Any, session: Any, _envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        ours = ("250-AUTH", "250-STARTTLS") if self._check else ("250-STARTTLS",)
        kept = [line for line in responses[1:] if line.startswith(ours)]
        offered = [
            f"250-{line}"
            for line in ("PIPELINING", "ENHANCEDSTATUSCODES", f"SIZE {self.data_size_limit}", *self._lines)
        ]
        return [responses[0], *kept, *offered, "250 HELP"]

    async def smtp_STARTTLS(self, arg: str) -> None:
        await self.talk.forget()
        await super().smtp_STARTTLS(arg)

    async def smtp_MAIL(self, arg: str | None) -> None:
        # Whoever may log in may also say for whom (RFC 4954 §5); it is no concern of the next hop.
        await super().smtp_MAIL(_MAIL_AUTH.sub(r"\1", arg) if arg else arg)

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]) -> str:
        # The mail may grow, so SIZE= is not passed on.
        wanted = [one for one in options if not one.startswith("SIZE")]
        answer = await self.talk.mail("" if address == "<>" else address, wanted, utf8=envelope.smtp_utf8)
        if answer.startswith("2"):
            envelope.mail_from = address
        return answer

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]) -> str:
        if address == "<>":
            return "501 5.1.3 a recipient has an address"
        answer = await self.talk.rcpt(address)
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_RSET(self, _server: Any, _session: Any, _envelope: Any) -> str:
        await self.talk.forget()
        return "250 2.0.0 OK"

    async def smtp_DATA(self, arg: str | None) -> None:
        """Take the mail and have it handed on; the client is answered with what became of it."""
        if await self.check_helo_needed() or await self.check_auth_needed("DATA"):
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
        elif refusal := self.talk.refusal():
            if refusal.startswith("4"):  # the mail that was begun is lost, and nothing of it is left to be finished
                await self._begin_anew()
            await self.push(refusal)
        else:
            self.busy = True
            try:
                await self.push("354 End data with <CR><LF>.<CR><LF>")
                answer = await self._taken()
            finally:
                await self._begin_anew()
                self.busy = False
            await self.push(answer)

    async def _begin_anew(self) -> None:
        """Nothing is left of the mail that was begun."""
        # aiosmtpd has types for half of its methods.
        self._set_post_data_state()  # type: ignore[no-untyped-call]
        await self.talk.forget()

    async def _taken(self) -> str:
        sent = await self._until_the_dot()
        if sent is None:
            return "552 5.3.4 the mail is too large"
        if _ALONE.search(sent, 0, len(sent) - 3) and _SMUGGLED.search(sent):
            # Some servers would take it for the mail's end, and what follows for commands of ours.
            return "554 5.6.0 a dot alone on a line that a bare CR or LF begins or ends"
        # The time that reading took does not count against the answer.
        self._reset_timeout()
        return await self.talk.data(sent[:-3].replace(b"\r\n.", b"\r\n")[2:], self)

    async def _until_the_dot(self) -> bytes | None:
        """What comes until CRLF.CRLF, with that and a CRLF before it; None when it is more than the limit."""
        # So that the dot of an empty mail stands on a line of its own as well; a reader takes more at its end only.
        self._reader._buffer[:0] = b"\r\n"  # type: ignore[attr-defined]
        pieces: list[bytes] = []
        size, limit = 0, self.data_size_limit
        while True:
            ended = True
            try:
                piece = await self._reader.readuntil(_END)
            except asyncio.LimitOverrunError as more:
                piece = await self._reader.readexactly(more.consumed)
                ended = False
            size += len(piece)
            if limit is None or size <= limit + len(_END):
                pieces.append(piece)
            else:
                pieces.clear()
            if ended:
                return b"".join(pieces) if pieces else None
            self._reset_timeout()

    # --- logging in --------------------------------------------------------------------------------------------------

    def _login(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        assert self._check is not None
        good = isinstance(given, LoginPassword) and self._check(given.login, given.password)
        return AuthResult(success=good, handled=False)


def _with_code(line: str) -> str:
    code = line[:3]
    if code[:1] not in ("2", "4", "5") or _CODE.match(line[4:]):
        return line
    return f"{code}{line[3:4] or ' '}{code[0]}.{_DETAIL.get(code, '0.0')} {line[4:]}"
