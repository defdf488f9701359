"""What happened, as metrics: the stories tell, and a shop is a label, a customer never."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from handraiser.answer import Answer
from handraiser.core.composed import Composed
from handraiser.doors.outbox import Outbox
from handraiser.enrich import Enrich
from handraiser.store.journal import Journal
from handraiser.store.writer import Writer
from handraiser.telemetry import Metrics


def count(
    metrics: Metrics,
    enrich: Enrich,
    answer: Answer,
    writer: Writer,
    outbox: Outbox,
    *,
    journal: Journal,
    clock: Callable[[], int],
) -> None:
    """Let the stories tell the metrics what happened; a shop is a label, a customer never."""
    of = lru_cache(maxsize=4096)(lambda counter, *labels: counter.labels(*labels))

    def composed(one: Composed) -> None:
        slug = one.shop.slug
        outcome = "replayed" if one.replayed else one.skipped_reason or ("composed" if one.message_id else "dry_run")
        of(metrics.emails, slug, one.email["type"], outcome).inc()
        for skip in one.decision.skipped:
            if skip.reason == "fill_failed":
                of(metrics.fill_failures, slug, skip.block).inc()
        if outcome in ("replayed", "dry_run"):
            return
        for skip in one.decision.skipped:
            of(metrics.skipped, slug, skip.reason).inc()
        for placement in one.decision.placements:
            of(metrics.blocks, slug, placement.legal_class).inc()

    enrich.observers.append(composed)
    answer.observers.append(lambda slug, outcome: metrics.presses.labels(slug, outcome).inc())
    answer.visit_observers.append(lambda slug, verdict: metrics.clicks.labels(slug, verdict).inc())
    metrics.queue.set_function(lambda: writer.depth)
    metrics.journalled.set_function(lambda: 0 if journal.oldest is None else max(0, clock() - journal.oldest) / 1000)
    outbox.observers.append(lambda carrier, outcome: metrics.carried.labels(carrier, outcome).inc())
