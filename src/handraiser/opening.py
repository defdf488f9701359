"""Opens the HTTP doors of a built service, serves, and drains them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from handraiser.app import Service
from handraiser.doors.api import Emails, Messages
from handraiser.doors.batch import Batch
from handraiser.doors.consents import Consents
from handraiser.doors.customers import Customers
from handraiser.doors.experiments import ExperimentDoor
from handraiser.doors.feedback import Feedback
from handraiser.doors.finished import Enrichment
from handraiser.doors.imports import ImportDoor
from handraiser.doors.openapi import Operation, Reference
from handraiser.doors.order_links import OrderLinkPage
from handraiser.doors.orders import Orders
from handraiser.doors.page_frame import Frame
from handraiser.doors.pages import Pages
from handraiser.doors.preferences import Preferences
from handraiser.doors.purposes import Purposes
from handraiser.doors.reports import Reports
from handraiser.doors.results import Results as ResultDoor
from handraiser.doors.shops import ShopStatus
from handraiser.doors.touchpoints import Touchpoints
from handraiser.doors.turns import Turns
from handraiser.doors.web import Front, static_routes
from handraiser.errors import HandraiserError
from handraiser.memory import leave_garbage

log = logging.getLogger("handraiser.opening")

KEEPALIVE_SECONDS = 75.0


def web_app(service: Service, more: Sequence[web.RouteDef] = ()) -> web.Application:
    """All HTTP doors; ``more`` are routes of the demo's."""
    settings, turns = service.settings, Turns()
    v1 = (
        Emails(service.enrich, turns, service.keys, settings),
        Batch(service.enrich, turns, service.keys, settings),
        Enrichment(service.finish, service.keys, settings, service.metrics),
        Messages(service.report, service.keys, settings),
        Touchpoints(service.enrich, turns, service.keys, settings),
        Orders(service.desk.orders, service.keys, settings),
        Feedback(service.desk.feedback, service.keys, settings),
        Consents(service.report, service.desk, service.keys, settings),
        ImportDoor(service.desk.imports, service.keys, settings),
        Customers(service.desk.rights, service.keys, settings),
        Purposes(service.desk.purposes, service.keys, settings),
        ShopStatus(service.desk.status, service.keys),
        ExperimentDoor(service.experiments, service.keys, settings),
        ResultDoor(service.results, service.keys),
        Reports(service.kpi, service.keys),
    )
    operations: list[Operation] = [one for door in v1 for one in door.operations()]
    reference = Reference(operations, settings.origin, settings.templates / "docs")
    answer = service.answer
    frame = Frame(nonce=answer.nonce, templates=settings.templates, words=service.words, settings=settings)
    front = Front(service.metrics, settings.trusted_proxies)
    application = web.Application(middlewares=[service.health.watch, front.middleware])
    application.add_routes([one.route() for one in operations])
    for routes in (
        Pages(answer, frame).routes(),
        Preferences(answer, frame).routes(),
        OrderLinkPage(service.order_door, frame).routes(),
        more,
        reference.routes(),
        static_routes(settings.templates),
        service.health.routes(),
    ):
        application.add_routes(routes)
    return application


async def run(
    service: Service,
    application: web.Application,
    on_ready: Callable[[], Awaitable[None]] | None = None,
    *,
    share_port: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT. On SIGTERM readiness goes down first, then what is at work is finished.
    With ``share_port`` other processes may listen at the same address (SO_REUSEPORT).

    The signals' handlers stay until the loop ends: another Ctrl-C must not tear a store that is just closing.
    """
    settings = service.settings
    stop: asyncio.Queue[signal.Signals] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, stop.put_nowait, one)
    runner = web.AppRunner(application, access_log=None, keepalive_timeout=KEEPALIVE_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port, backlog=1024, reuse_port=share_port or None)
        try:
            await site.start()
        except OSError as error:
            # asyncio repeats the address in its text; a resolver's error has a negative number and a text of its own.
            code = error.errno or 0
            reason = os.strerror(code) if code > 0 else error.strerror or str(error)
            raise HandraiserError(f"cannot listen on {settings.listen}: {reason}") from None
        log.info("serving", extra={"facts": {"listen": settings.listen, "database": service.database.dialect}})
        if on_ready is not None:
            await on_ready()
        leave_garbage()
        if await stop.get() is signal.SIGTERM:
            service.health.draining = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.get(), settings.drain_seconds)
        log.info("draining")
        await site.stop()
        # aiohttp lets a handler finish, but from its clean-up on drops what is still to come of a body.
        await service.health.idle(settings.body_seconds)
    finally:
        await runner.cleanup()
