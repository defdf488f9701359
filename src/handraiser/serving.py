"""``handraiser serve``: the service with its HTTP doors, and the SMTP relay where it is wanted."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from handraiser.app import Service, clock, new_id, open_service
from handraiser.doors.worker_metrics import WorkerMetrics
from handraiser.errors import Fault, SettingsRefused
from handraiser.opening import run, web_app
from handraiser.settings import Settings
from handraiser.template_files import read_signing_keys

if TYPE_CHECKING:
    from handraiser.doors.relay import Relay

log = logging.getLogger("handraiser.app")


@asynccontextmanager
async def open_relay(service: Service, *, share_port: bool = False) -> AsyncIterator[Relay]:
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
    await relay.open(share_port=share_port)
    try:
        yield relay
    finally:
        await relay.close(settings.relay_data_seconds)


async def serve(settings: Settings, *, relay: bool = False, worker: Path | None = None) -> None:
    """``handraiser serve``; with ``relay`` the SMTP door is open too.

    ``worker`` makes it one of several that share the ports, and names the socket at which it gives the others its
    metrics; it tells :mod:`handraiser.supervise` when it is ready, and drains when that has gone.
    """

    async def ready() -> None:
        if not settings.smtp_url:
            log.warning("smtp_url is not set: confirmation mails wait in the outbox")
        if worker:
            sys.stdout.write("ready\n")
            sys.stdout.flush()

    async with open_service(settings) as service, AsyncExitStack() as stack:
        if relay:
            await stack.enter_async_context(open_relay(service, share_port=worker is not None))
        if worker:
            metrics = WorkerMetrics(service.metrics.registry, worker)
            await metrics.open()
            stack.push_async_callback(metrics.close)
            service.health.exposition = metrics.exposition
            asyncio.get_running_loop().add_reader(sys.stdin, _released, service)
        await run(service, web_app(service), ready, share_port=worker is not None)


def _released(service: Service) -> None:
    """The supervisor has closed our input, or is gone: drain, unless a signal of our own has said so already."""
    loop = asyncio.get_running_loop()
    loop.remove_reader(sys.stdin)

    def drain() -> None:
        if not service.health.draining:
            signal.raise_signal(signal.SIGTERM)

    loop.call_later(0.1, drain)
