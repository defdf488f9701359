"""SMTP in, SMTP out: every command is asked of the next hop while the client waits, so nothing is ever held here.

No queue: what the hop answers to MAIL, RCPT and the mail is what the client is answered, and the shop's own queue tries
again. Only what the hop accepted is accepted.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import re
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime

from handraiser.core.rules.match import heading_of
from handraiser.doors.mailer import Hop
from handraiser.doors.relay_hop import AWAY, LOST, HopAway, Line, Pool, Reply
from handraiser.doors.relay_session import Session
from handraiser.errors import HandraiserError
from handraiser.passing import Envelope, Passage, Passing
from handraiser.settings import Settings
from handraiser.telemetry import Metrics

log = logging.getLogger("handraiser.relay")

HOPS = 50
"""Received lines beyond which a mail goes round in circles (RFC 5321 §6.3); Postfix has the same limit."""
HEADROOM = 200_000
"""Bytes that a mail may grow by: so much less than the next hop takes is offered."""
LOCAL = ("127.0.0.0/8", "::1/128")
SECOND_LINE_SECONDS = 2.0
"""Longest wait for a second connection, without which the customer's copy cannot go apart from the others."""
_PLAIN = re.compile(r"[^A-Za-z0-9.:\[\]_-]")


class Relay:
    """The door. ``new_id`` gives an id for each mail, ``clock`` the time (ms UTC)."""

    def __init__(
        self,
        passing: Passing,
        settings: Settings,
        metrics: Metrics,
        clock: Callable[[], int],
        new_id: Callable[[int], bytes],
    ) -> None:
        self.passing, self.metrics, self._clock, self._new_id = passing, metrics, clock, new_id
        self._settings = settings
        self._name = settings.relay_name or socket.getfqdn()
        self._users = dict(part.split(":", 1) for part in settings.relay_users.split(",") if part)
        self._peers = [ipaddress.ip_network(one) for one in settings.relay_peers or LOCAL]
        self.pool = Pool(
            Hop.read(settings.relay_next_hop),
            tls=settings.relay_next_hop_tls,
            name=self._name,
            most=settings.relay_connections,
            seconds=settings.relay_hop_seconds,
            data_seconds=settings.relay_data_seconds,
        )
        self.sessions: set[Session] = set()
        self._server: asyncio.Server | None = None
        self._tls = _context(settings)
        self.closing = False
        self.deliveries: set[asyncio.Task[str]] = set()

    async def open(self, *, share_port: bool = False) -> None:
        """Listen, with ``share_port`` beside other processes; raises :class:`HandraiserError` where that cannot be
        done."""
        host, port = self._settings.relay_host_and_port
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._session, host, port, backlog=256, reuse_port=share_port or None
            )
        except OSError as error:
            raise HandraiserError(f"cannot listen on {self._settings.relay_listen}: {error.strerror}") from None
        log.info("relaying", extra={"facts": {"listen": self._settings.relay_listen}})

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self, seconds: float) -> None:
        """Take no new mail, finish what is under way within ``seconds``, then hang up."""
        self.closing = True
        if self._server is not None:
            self._server.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.sessions or self.deliveries:
                    for session in tuple(self.sessions):
                        session.goodbye()
                    await asyncio.sleep(0.02)
        for session in tuple(self.sessions):
            if session.transport is not None:
                session.transport.close()
        self.pool.close()

    def _session(self) -> Session:
        settings = self._settings
        return Session(
            Exchange(self),
            self._admit,
            self._authenticate if self._users else None,
            hostname=self._name,
            ident="ESMTP",
            tls_context=self._tls,
            require_starttls=settings.relay_tls_required,
            auth_require_tls=not settings.relay_auth_without_tls,
            data_size_limit=settings.mail_bytes,
            # Longer than any answer of ours may take, so that no client is left without one.
            timeout=settings.relay_data_seconds + 3 * settings.relay_hop_seconds + settings.enrich_seconds,
        )

    def _admit(self, session: Session) -> str:
        self.sessions.add(session)
        if self.closing or len(self.sessions) > self._settings.relay_sessions:
            return "421 4.3.2 too many sessions, try again"
        try:
            peer = ipaddress.ip_address(session.peer.partition("%")[0])
        except ValueError:
            return "554 5.7.1 not from there"
        peer = getattr(peer, "ipv4_mapped", None) or peer
        return "" if any(peer in network for network in self._peers) else "554 5.7.1 not from there"

    def gone(self, session: Session) -> None:
        """A session ended."""
        self.sessions.discard(session)

    def _authenticate(self, login: bytes, password: bytes) -> bool:
        # Compared also for an unknown name, so that the time does not tell which names there are.
        known = self._users.get(login.decode("utf-8", "replace"))
        same = hmac.compare_digest((known or "\0").encode(), password)
        return known is not None and same

    async def size(self) -> int:
        """The largest mail taken, bytes."""
        size = (await self.pool.features()).size
        own = self._settings.mail_bytes
        return own if size is None else max(1, min(own, size - HEADROOM if size > 2 * HEADROOM else size))

    # --- one mail ----------------------------------------------------------------------------------------------------

    def received(self, session: Session, *, utf8: bool) -> tuple[str, bytes]:
        """A new id, and the Received line with it (RFC 5321 §4.4)."""
        at = self._clock()
        mail_id = self._new_id(at).hex()
        state = session.session
        assert state is not None
        helo = _PLAIN.sub("?", state.host_name or "")[:200] or "unknown"
        spoken = "UTF8SMTP" if utf8 else "ESMTP" if state.extended_smtp else "SMTP"
        if spoken != "SMTP":
            spoken += ("S" if state.ssl else "") + ("A" if state.authenticated else "")
        day = format_datetime(datetime.fromtimestamp(at / 1000, UTC))
        line = (
            f"Received: from {helo} ([{session.peer}])\r\n\tby {self._name} with {spoken} id {mail_id};\r\n\t{day}\r\n"
        )
        return mail_id, line.encode("ascii")

    def told(self, mail_id: str, passage: Passage, reply: Reply, *, reason: str) -> None:
        """One mail is done with: log and count it, without an address."""
        outcome = "put_off" if reply.code < 500 else "refused"
        if reply.good:
            outcome = "passed" if reason else "enriched"
        self.metrics.relayed.labels(outcome, reason).inc()
        if reply.good:
            self.metrics.finished_mail(passage.shop, reason)
        facts = {"mail": mail_id, "outcome": outcome, "reason": reason, "code": reply.code}
        facts |= {"shop": passage.shop, "rule": passage.rule}
        log.info("a mail went through" if reply.good else "a mail was not taken", extra={"facts": facts})

    def copies_lost(self, mail_id: str, count: int) -> None:
        """The customer's copy is delivered, and the hop did not take the others' a moment later."""
        self.metrics.relayed.labels("copy_lost", "").inc(count)
        log.error("copies of a mail were not taken", extra={"facts": {"mail": mail_id, "copies": count}})


class Exchange:
    """One client's mails, one after the other, each on a connection to the hop that is its own."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._line: Line | None = None
        self._sender, self._options, self._utf8 = "", [""], False
        self._recipients: list[str] = []
        self._lost = False

    async def extensions(self) -> tuple[int, list[str]]:
        """See :class:`Talk`."""
        features = await self._relay.pool.features()
        lines = (["8BITMIME"] if features.eight_bit else []) + (["SMTPUTF8"] if features.utf8 else [])
        return await self._relay.size(), lines

    async def mail(self, sender: str, options: list[str], *, utf8: bool) -> str:
        """Begin a mail at the hop. A kept connection that the hop has closed meanwhile is replaced once."""
        await self.forget()
        self._sender, self._utf8 = sender, utf8
        for fresh in (False, True):
            try:
                self._line = await self._relay.pool.take(fresh=fresh)
            except HopAway:
                return AWAY.as_smtp()
            line = self._line
            if utf8 and not line.features.utf8:
                await self.forget()
                return Reply(451, "4.3.0 the next hop does not take SMTPUTF8 any more, try again").as_smtp()
            self._options = [one for one in options if line.features.eight_bit or not one.startswith("BODY")]
            try:
                reply = await line.mail(sender, self._options)
            except HopAway:
                reply = AWAY
            if line.open or fresh or not line.used_before:
                break
            await self.forget()
        if not reply.good:
            await self.forget()
        return reply.as_smtp()

    async def rcpt(self, recipient: str) -> str:
        """Ask the hop for one recipient."""
        if self._line is None or self._lost:
            return LOST.as_smtp()
        try:
            reply = await self._line.rcpt(recipient)
        except HopAway:
            reply = LOST
        self._lost = not self._line.open
        if reply.good:
            self._recipients.append(recipient)
        return reply.as_smtp()

    def refusal(self) -> str:
        """Why no mail can be taken now."""
        if self._lost:
            return LOST.as_smtp()
        if self._line is None:
            return "503 5.5.1 send MAIL first"
        return "" if self._recipients else "554 5.5.1 no valid recipients"

    async def data(self, content: bytes, session: Session) -> str:
        """Judge the mail and hand it on. Until that begins a client that hangs up takes its mail back; from then on it
        is brought to its end whatever the client does."""
        mail_id, received = self._relay.received(session, utf8=self._utf8)
        passage = Passage(content, "loop")
        if len(heading_of(content, "").all("received")) >= HOPS:
            reply = Reply(554, "5.4.6 too many hops")
            self._relay.told(mail_id, passage, reply, reason="loop")
            return reply.as_smtp()
        passage = await self._relay.passing.mail(content, Envelope(self._sender, tuple(self._recipients)))
        delivery = asyncio.create_task(self._delivered(mail_id, received, content, passage))
        self._relay.deliveries.add(delivery)
        delivery.add_done_callback(self._relay.deliveries.discard)
        return await asyncio.shield(delivery)

    async def _delivered(self, mail_id: str, received: bytes, original: bytes, passage: Passage) -> str:
        line, self._line = self._line, None
        assert line is not None
        reason = passage.reason
        try:
            size = line.features.size
            if not reason and size is not None and len(received) + len(passage.content) > size:
                reason = "too_large"
            reply = None if reason else await self._enriched(line, mail_id, received, original, passage)
            if reply is None or reply.code >= 500:
                # Also where the hop does not want the mail with the block: the receipt goes out without it. First of
                # all that is kept: should the client have to send the mail again, it passes as it is.
                reason = reason or "hop_refused"
                await self._relay.passing.not_sent(passage, reason)
            if reply is None:
                reply = await line.data(received + original)
        except HopAway:
            reply = LOST
        finally:
            self._relay.pool.give(line)
        self._relay.told(mail_id, passage, reply, reason=reason)
        return reply.as_smtp()

    async def _enriched(
        self, line: Line, mail_id: str, received: bytes, original: bytes, passage: Passage
    ) -> Reply | None:
        """What the hop says to the enriched mail; None where nothing was delivered and ``line`` waits for the original.

        Raises :class:`HopAway`.
        """
        if passage.copies:
            return await self._apart(line, mail_id, received, original, passage)
        reply = await line.data(received + passage.content)
        return None if reply.code >= 500 and await self._begin(line, self._recipients) else reply

    async def _apart(
        self, line: Line, mail_id: str, received: bytes, original: bytes, passage: Passage
    ) -> Reply | None:
        """As :meth:`_enriched`: the reader's copy on a connection of its own, then the original to the others."""
        readers = [one for one in self._recipients if one not in passage.copies]
        try:
            other = await self._relay.pool.take(seconds=SECOND_LINE_SECONDS)
        except HopAway:
            return None
        try:
            try:
                if not await self._begin(other, readers):
                    return None
            except HopAway:
                return None
            reply = await other.data(received + passage.content)
        finally:
            self._relay.pool.give(other)
        if not reply.good:
            # For now: the client tries again. For good: the others' connection still holds all recipients.
            if reply.code < 500:
                line.close()
            return reply if reply.code < 500 else None
        taken = False
        with suppress(HopAway):
            await line.rset()
            taken = await self._begin(line, passage.copies) and (await line.data(received + original)).good
        if not taken:
            self._relay.copies_lost(mail_id, len(passage.copies))
        return reply

    async def _begin(self, line: Line, recipients: list[str] | tuple[str, ...]) -> bool:
        """Whether the hop takes a mail to exactly these once more; where not, nothing is left begun."""
        replies = [await line.mail(self._sender, self._options), *[await line.rcpt(one) for one in recipients]]
        if all(reply.good for reply in replies):
            return True
        await line.rset()
        return False

    async def forget(self) -> None:
        """Give up the mail that was begun; never raises."""
        line, self._line = self._line, None
        self._recipients, self._lost = [], False
        if line is not None:
            try:
                with suppress(HopAway):
                    await line.rset()
            finally:  # also when the client hangs up meanwhile: a place that is not given back is lost for all
                self._relay.pool.give(line)

    def gone(self, session: Session) -> None:
        """The client is away: what it began at the hop ends with the connection."""
        self._relay.gone(session)
        line, self._line = self._line, None
        if line is not None:
            line.close()
            self._relay.pool.give(line)


def _context(settings: Settings) -> ssl.SSLContext | None:
    if settings.relay_tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.relay_tls_certificate, settings.relay_tls_key)
    except OSError as error:
        raise HandraiserError(f"relay_tls_certificate: {error.strerror or error}") from None
    return context
