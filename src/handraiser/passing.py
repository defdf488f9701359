"""Story 8: one finished mail passing through: what it is, which bytes go on to whom. On any doubt: the original."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

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


Enriching = Callable[[bytes, Recognised, str], Awaitable[Enriched]]
"""Enriches a recognised mail for its one reader, whose address is given."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What goes on: ``content`` to everybody but ``copies``, who get the original.

    ``reason`` says why ``content`` is the original too, "" where it is not; ``shop`` and ``rule`` name the rule, ""
    where none was found.
    """

    content: bytes
    reason: str
    copies: tuple[str, ...] = ()
    shop: str = ""
    rule: str = ""


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
        except TimeLimitExceeded:
            return Passage(raw, "time_limit")
        except WorkerDied:
            return Passage(raw, "worker_died")
        except SigningFailed:
            return Passage(raw, "signing_failed")
        except Exception as error:
            log.error("a mail passes as it is", exc_info=error)
            return Passage(raw, "failed")

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
        enriched = await self._enrich(raw, found, readers[0])
        if enriched.content == raw:
            return replace(untouched, reason=enriched.reason or "not_enriched")
        content = await self._signed(enriched.content, found)
        return replace(untouched, content=content, reason="", copies=copies)

    async def _signed(self, content: bytes, found: Recognised) -> bytes:
        dkim = found.rule.dkim
        if dkim.policy == "pass":
            return content
        key = self._keys.get((found.shop, found.rule.id))
        if key is None:
            raise SigningFailed("no key")
        return await self._workers.call(resign, content, dkim.domain, dkim.selector, key)


def _has_bare_newlines(raw: bytes) -> bool:
    pairs = raw.count(b"\r\n")
    return raw.count(b"\n") != pairs or raw.count(b"\r") != pairs


def _normal(address: str) -> str:
    try:
        return normalise_address(address)
    except ValueError:
        return address
