"""``handraiser serve``: the service with its HTTP doors, and the SMTP relay where it is wanted."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from handraiser.app import Service, clock, new_id, open_service
from handraiser.errors import Fault, SettingsRefused
from handraiser.opening import run, web_app
from handraiser.settings import Settings
from handraiser.template_files import read_signing_keys

if TYPE_CHECKING:
    from handraiser.doors.relay import Relay

log = logging.getLogger("handraiser.app")


@asynccontextmanager
async def open_relay(service: Service) -> AsyncIterator[Relay]:
    """The SMTP door beside the others. Rules that lack their key are told in the log; their mail passes as it is.

    Raises :class:`SettingsRefused` without a next hop, and :class:`HandraiserError` where it cannot listen.
    """
    # Only what relays pays for these.
    from handraiser.doors.relay import Relay
    from handraiser.passing import Passing

    settings = service.settings
    if not settings.relay_next_hop:
        raise SettingsRefused([Fault("relay_next_hop", "missing", "the relay needs a hop that takes its mail")])
    keys, lacking = read_signing_keys(settings.templates, service.finish.rules)
    for fault in lacking:
        log.error("mail of this shop passes as it is", extra={"facts": {"fault": str(fault)}})
    passing = Passing(
        rules=service.finish.rules,
        workers=service.workers,
        enrich=service.finish,
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


async def serve(settings: Settings, *, relay: bool = False) -> None:
    """``handraiser serve``; with ``relay`` the SMTP door is open too."""

    async def without_mail() -> None:
        if not settings.smtp_url:
            log.warning("smtp_url is not set: confirmation mails wait in the outbox")

    async with open_service(settings) as service, AsyncExitStack() as stack:
        if relay:
            await stack.enter_async_context(open_relay(service))
        await run(service, web_app(service), without_mail)
