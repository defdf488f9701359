"""Logs and metrics: JSON lines without personal data, Prometheus counters by route and shop, never by customer."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

request_id: ContextVar[str] = ContextVar("request_id", default="")

_LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class JsonLines(logging.Formatter):
    """One JSON object a line; ``json.dumps`` escapes line breaks, so no value can forge a line.

    Our own loggers never hold personal data. Of others only the first line is kept, with its places unfilled: aiohttp
    would name the caller's address, and asyncio the text of an exception.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": int(record.created * 1000),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage() if _ours(record.name) else str(record.msg).partition("\n")[0],
        }
        if identifier := request_id.get():
            line["request_id"] = identifier
        line.update(getattr(record, "facts", {}))
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = type(record.exc_info[1]).__name__
            line["where"] = _where(record)
        return json.dumps(line, ensure_ascii=False, default=str)


def _ours(logger: str) -> bool:
    return logger.partition(".")[0] == "handraiser"


def _where(record: logging.LogRecord) -> list[str]:
    """File and line of each frame, without values: an exception's text may hold an address."""
    frames = []
    trace = record.exc_info[2] if record.exc_info else None
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}:{code.co_name}")
        trace = trace.tb_next
    return frames[-8:]


def log_to(level: str) -> None:
    """Send this service's log as JSON lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("aiohttp.access", "mail.log"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class Metrics:
    """All counters of one service instance, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "handraiser_requests", "HTTP requests", ["route", "method", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "handraiser_request_seconds", "Time to answer", ["route"], buckets=_LATENCIES, registry=self.registry
        )
        self.emails = Counter(
            "handraiser_emails", "Emails composed or enriched", ["shop", "type", "outcome"], registry=self.registry
        )
        self.blocks = Counter("handraiser_blocks", "Blocks inserted", ["shop", "kind"], registry=self.registry)
        self.skipped = Counter("handraiser_skipped", "Blocks not inserted", ["shop", "reason"], registry=self.registry)
        self.fill_failures = Counter(
            "handraiser_fill_failures",
            "Blocks dropped because filling failed",
            ["shop", "block"],
            registry=self.registry,
        )
        self.presses = Counter(
            "handraiser_presses", "Answers by customers", ["shop", "outcome"], registry=self.registry
        )
        self.clicks = Counter(
            "handraiser_clicks", "Visits of signed links", ["shop", "verdict"], registry=self.registry
        )
        self.carried = Counter(
            "handraiser_carried", "Outbox events handed over, or not", ["carrier", "outcome"], registry=self.registry
        )
        self.finished = Counter(
            "handraiser_finished",
            "Finished mails, by HTTP or relayed",
            ["shop", "outcome", "reason"],
            registry=self.registry,
        )
        self.relayed = Counter(
            "handraiser_relayed", "Mails that came to the relay", ["outcome", "reason"], registry=self.registry
        )
        self.store_errors = Counter("handraiser_store_errors", "Database faults met", registry=self.registry)
        self.journalled = Gauge(
            "handraiser_journalled_withdrawal_seconds",
            "Age of the oldest withdrawal that only the journal holds; 0: none",
            registry=self.registry,
        )
        self.queue = Gauge("handraiser_write_queue", "Writes waiting for a commit", registry=self.registry)

    def finished_mail(self, shop: str, reason: str) -> None:
        """Count a finished mail: with a ``reason`` it passed unchanged. ``shop`` is "" where no rule named one."""
        self.finished.labels(shop, "unchanged" if reason else "enriched", reason).inc()
