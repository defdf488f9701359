"""What a shop tells with an email of who does not want to hear from it, as entries of the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from handraiser.core import payload
from handraiser.core.consent import Entry, Event, dedup_key
from handraiser.core.letter import Letter


def objections(
    letter: Letter,
    standing: Mapping[str, str],
    since: Mapping[str, int],
    message_id: bytes,
    subject_id: bytes,
    new_id: Callable[[int], bytes],
) -> Iterator[Entry]:
    """An objection for each purpose that the shop knows as unsubscribed and that has not ended yet.

    ``standing`` and ``since`` (ms) are what is known by purpose: a yes that is newer than the moment the shop names
    stays. Of a customer who does not read this mail nothing is kept: it would stand against the reader.
    """
    if letter.to_other or letter.options.test:
        return
    for purpose, told in letter.email["customer"].get("marketing", {}).items():
        at = payload.placed_at(told.get("at"), letter.shop.time_zone)
        newer = at is not None and since.get(purpose, 0) > at
        if told["state"] != "unsubscribed" or standing.get(purpose) in ("objected", "withdrawn") or newer:
            continue
        yield Entry(
            event_id=new_id(letter.at),
            controller_id=letter.shop.controller.id,
            subject_id=subject_id,
            purpose=purpose,
            event=Event.OBJECTED,
            occurred_at=min(at or letter.at, letter.at),
            received_at=letter.at,
            recorded_at=letter.at,
            dedup_key=dedup_key(subject_id, "marketing", purpose, str(at)),
            jurisdiction=letter.market.code,
            rule_version=letter.market.rule_version,
            touchpoint="api",
            message_id=message_id,
            method="import",
            actor="agent",
            actor_id=letter.shop.slug,
        )
