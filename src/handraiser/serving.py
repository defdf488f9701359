"""``handraiser serve``: the service with its HTTP doors, and the SMTP relay where it is wanted."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from handraiser.app import Service, clock, new_id, open_service, run, web_app
from handraiser.errors import Fault, SettingsRefused
from handraiser.finished import Finish
from handraiser.settings import Settings
from handraiser.template_files import read_shop_rules, read_signing_keys

if TYPE_CHECKING:
    from handraiser.core.rules.recognise import Recognised
    from handraiser.doors.relay import Relay
    from handraiser.passing import Enriched

log = logging.getLogger("handraiser.app")


@asynccontextmanager
async def open_relay(service: Service) -> AsyncIterator[Relay]:
    """The SMTP door beside the others. Shops whose rules have faults are told in the log; their mail passes as it is.

    Raises :class:`SettingsRefused` without a next hop, and :class:`HandraiserError` where it cannot listen.
    """
    # Only what relays pays for these.
    from handraiser.doors.relay import Relay
    from handraiser.passing import Passing

    settings = service.settings
    if not settings.relay_next_hop:
        raise SettingsRefused([Fault("relay_next_hop", "missing", "the relay needs a hop that takes its mail")])
    rules, faults = read_shop_rules(settings.templates)
    keys, lacking = read_signing_keys(settings.templates, rules)
    for fault in (*faults, *lacking):
        log.error("mail of this shop passes as it is", extra={"facts": {"fault": str(fault)}})
    passing = Passing(
        rules=rules,
        workers=service.workers,
        enrich=partial(_enriched, service.finish),
        keys=keys,
        max_bytes=settings.enrich_bytes,
    )
    await passing.warm()
    relay = Relay(passing, settings, service.metrics, clock, new_id)
    await relay.open()
    try:
        yield relay
    finally:
        await relay.close(settings.relay_data_seconds)


async def _enriched(finish: Finish, raw: bytes, found: Recognised, reader: str) -> Enriched:
    from handraiser.passing import Enriched

    passed = await finish.recognised(raw, found, reader)
    return Enriched(passed.content, passed.reason)


async def serve(settings: Settings, *, relay: bool = False) -> None:
    """``handraiser serve``; with ``relay`` the SMTP door is open too."""

    async def without_mail() -> None:
        if not settings.smtp_url:
            log.warning("smtp_url is not set: confirmation mails wait in the outbox")

    async with open_service(settings) as service, AsyncExitStack() as stack:
        if relay:
            await stack.enter_async_context(open_relay(service))
        await run(service, web_app(service), without_mail)
