"""One tree of errors, free of HTTP and SMTP; each carries what its reader needs, each door says it in its language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with what came in.

    ``pointer`` is a JSON pointer (RFC 6901) into the body (or a header or query name), ``code`` a stable word for
    machines, ``detail`` a sentence for people. It never repeats a secret.
    """

    pointer: str
    code: str
    detail: str

    def as_json(self) -> dict[str, str]:
        return {"pointer": self.pointer, "code": self.code, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class TemplateFault:
    """One thing wrong in a template or block: where (1-based line and column in ``source``), what, what was meant."""

    source: str
    line: int
    column: int
    code: str
    detail: str
    suggestion: str = ""

    def __str__(self) -> str:
        hint = f" ({self.suggestion})" if self.suggestion else ""
        return f"{self.source}:{self.line}:{self.column}: {self.detail}{hint}"


class HandraiserError(Exception):
    """The root of all errors of this service."""


class Refused(HandraiserError):
    """Input that cannot be used; ``faults`` names everything that is wrong, all at once."""

    def __init__(self, faults: Sequence[Fault], message: str = "") -> None:
        self.faults = tuple(faults)
        super().__init__(message or "; ".join(f"{f.pointer or '/'}: {f.detail}" for f in self.faults))


class PayloadRefused(Refused):
    """An order payload that a receipt cannot be written from."""


class Malformed(PayloadRefused):
    """What came is no JSON at all."""


class SettingsRefused(Refused):
    """Settings the service cannot start with."""


class NotFound(HandraiserError):
    """What was asked for does not exist, or is another company's."""


class Conflict(HandraiserError):
    """What is there now does not allow this; the message says what would."""


class IdempotencyMismatch(HandraiserError):
    """The same Idempotency-Key came with another body."""


class IdempotencyInFlight(HandraiserError):
    """The winner of a race for one Idempotency-Key has not committed within the time limit."""


class Busy(HandraiserError):
    """Another process does this work now; nothing was done."""


class TemplateRefused(HandraiserError):
    """A template or block that must not go live; ``faults`` names every place."""

    def __init__(self, faults: Sequence[TemplateFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))

    def __reduce__(self) -> tuple[type, tuple[tuple[TemplateFault, ...]]]:
        return (type(self), (self.faults,))


class FillFailed(HandraiserError):
    """A compiled template could not be filled with this data."""


class SigningFailed(HandraiserError):
    """A finished mail could not be signed: a key that is none, or headers that a signer cannot read."""


class LinkError(HandraiserError):
    """The root of what can be wrong with a signed link."""


class BadLink(LinkError):
    """Not a token we signed, or not in its canonical spelling."""


class TooMany(LinkError):
    """More visits of links than people make; ``seconds`` is when to come again. Never raised for whoever leaves."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        super().__init__("too many visits of links")


class BadNonce(LinkError):
    """A form nonce that is missing, forged, another message's, or too old."""


class StoreError(HandraiserError):
    """The root of what can be wrong with the database."""


class StoreUnavailable(StoreError):
    """The database cannot be reached or cannot take a write now; nothing was acknowledged."""


class Overloaded(StoreUnavailable):
    """The bounded write queue is full; try again."""


class SchemaTooNew(StoreError):
    """The database was migrated by a newer version of this service."""


class SchemaChanged(StoreError):
    """A migration that was already applied differs from the file of the same number."""


class IsolationError(HandraiserError):
    """The root of what can go wrong in an isolated process."""


class TimeLimitExceeded(IsolationError):
    """The isolated call did not finish in time and was killed."""


class WorkerDied(IsolationError):
    """The isolated process ended without an answer (crash or memory limit)."""
