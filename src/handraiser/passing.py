"""Story 8: one finished mail passing through: what it is, which bytes go on to whom. On any doubt: the original."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from handraiser.core.mailbox import normalise_address, sole_address
from handraiser.core.rules.match import ShopRule, candidates, heading_of
from handraiser.core.rules.recognise import Recognised, recognise
from handraiser.errors import SigningFailed, TimeLimitExceeded, WorkerDied
from handraiser.isolate import Workers
from handraiser.signing import resign

log = logging.getLogger("handraiser.passing")


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends ("" is the null sender) and who receives, as SMTP told it."""

    sender: str
    recipients: tuple[str, ...]


class Enriched(Protocol):
    """What became of a mail: other bytes, or the same and a reason."""

    @property
    def content(self) -> bytes: ...

    @property
    def reason(self) -> str: ...


class Enriching(Protocol):
    """Enriches recognised mail."""

    async def recognised(self, raw: bytes, found: Recognised, reader: str) -> Enriched:
        """A mail for its one reader, whose address is given."""

    async def not_sent(self, enriched: Any, why: str) -> None:
        """The reader gets the original after all: nothing may stay kept as shown."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What goes on: ``content`` to everybody but ``copies``, who get the original.

    ``reason`` says why ``content`` is the original too, "" where it is not; ``shop`` and ``rule`` name the rule, ""
    where none was found; ``enriched`` is what was kept as shown.
    """

    content: bytes
    reason: str
    copies: tuple[str, ...] = ()
    shop: str = ""
    rule: str = ""
    enriched: Enriched | None = None


class Passing:
    """Judges finished mail in worker processes that may be killed.

    ``keys`` are the private keys (PEM) of rules that sign, by shop and rule; without ``enrich`` every mail is judged
    and passes as it is. ``max_bytes`` is the largest mail that is read.
    """

    def __init__(
        self,
        *,
        rules: Sequence[ShopRule],
        workers: Workers,
        enrich: Enriching | None = None,
        keys: Mapping[tuple[str, str], bytes] | None = None,
        max_bytes: int,
    ) -> None:
        self._rules, self._workers, self._enrich = rules, workers, enrich
        self._keys, self._max_bytes = keys or {}, max_bytes

    async def warm(self) -> None:
        """Wake the workers before the first mail."""
        await self._workers.warm(recognise, b"", "", (), max_bytes=self._max_bytes)

    async def mail(self, raw: bytes, envelope: Envelope) -> Passage:
        """What goes on of one mail; never raises."""
        try:
            return await self._judged(raw, envelope)
        except Exception as error:
            return Passage(raw, _reason_of(error))

    async def not_sent(self, passage: Passage, why: str) -> None:
        """The hop did not take what was enriched: nothing of it may stay kept as shown. Never raises."""
        if self._enrich is None or passage.enriched is None:
            return
        try:
            await self._enrich.not_sent(passage.enriched, why)
        except Exception as error:  # the receipt goes out all the same
            log.error("a block that was not sent stays kept as shown", exc_info=error)

    async def _judged(self, raw: bytes, envelope: Envelope) -> Passage:
        if not envelope.sender:
            return Passage(raw, "null_sender")
        # Most mail is nobody's, which its heading tells without waking a worker.
        heading = heading_of(raw, envelope.sender)
        possible = candidates(self._rules, heading)
        if not possible:
            return Passage(raw, "no_rule")
        if _has_bare_newlines(raw):
            return Passage(raw, "bare_newlines")
        found = await self._workers.call(recognise, raw, envelope.sender, possible, max_bytes=self._max_bytes)
        if not isinstance(found, Recognised):
            return Passage(raw, found.reason, shop=found.shop, rule=found.rule)
        untouched = Passage(raw, "not_enriched", shop=found.shop, rule=found.rule.id)
        copies = tuple(one for one in envelope.recipients if _normal(one) in found.rule.copies)
        readers = [one for one in envelope.recipients if one not in copies]
        if len(readers) != 1:
            return replace(untouched, reason="several_recipients")
        if _normal(sole_address(heading.only("to"))) != _normal(readers[0]):
            return replace(untouched, reason="to_differs")
        if self._enrich is None:
            return untouched
        enriched = await self._enrich.recognised(raw, found, readers[0])
        if enriched.content == raw:
            return replace(untouched, reason=enriched.reason or "not_enriched")
        passage = replace(untouched, content=enriched.content, reason="", copies=copies, enriched=enriched)
        try:
            return replace(passage, content=await self._signed(enriched.content, found))
        except Exception as error:
            await self.not_sent(passage, reason := _reason_of(error))
            return replace(untouched, reason=reason)

    async def _signed(self, content: bytes, found: Recognised) -> bytes:
        dkim = found.rule.dkim
        if dkim.policy == "pass":
            return content
        key = self._keys.get((found.shop, found.rule.id))
        if key is None:
            raise SigningFailed("no key")
        return await self._workers.call(resign, content, dkim.domain, dkim.selector, key)


def _reason_of(error: Exception) -> str:
    """Why a mail passes as it is; what nobody foresaw is logged."""
    for kind, reason in (
        (TimeLimitExceeded, "time_limit"),
        (WorkerDied, "worker_died"),
        (SigningFailed, "signing_failed"),
    ):
        if isinstance(error, kind):
            return reason
    log.error("a mail passes as it is", exc_info=error)
    return "failed"


def _has_bare_newlines(raw: bytes) -> bool:
    pairs = raw.count(b"\r\n")
    return raw.count(b"\n") != pairs or raw.count(b"\r") != pairs


def _normal(address: str) -> str:
    try:
        return normalise_address(address)
    except ValueError:
        return address
