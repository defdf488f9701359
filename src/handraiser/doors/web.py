"""What all HTTP doors share: request ids, problem+json, security headers, limits, health and metrics."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ipaddress
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from handraiser.errors import (
    Conflict,
    Fault,
    HandraiserError,
    IdempotencyInFlight,
    IdempotencyMismatch,
    Malformed,
    NotFound,
    Refused,
    StoreUnavailable,
    TemplateRefused,
)
from handraiser.telemetry import Metrics, request_id

log = logging.getLogger("handraiser.web")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "strict-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_STATIC_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_PIECE = 12_000
"""Eight times this is what glibc gives from its heap."""
API_CSP = "default-src 'none'; frame-ancestors 'none'"
TITLES = {
    400: "The request cannot be read",
    401: "A valid API key is needed",
    403: "This key may not do that",
    404: "Not found",
    405: "This method is not allowed here",
    406: "No acceptable answer format",
    408: "The body took too long to arrive",
    409: "Something that is there or at work stands in the way",
    413: "The body is too large",
    415: "This content type is not accepted",
    422: "The content cannot be used",
    429: "Too many requests",
    500: "An error on our side",
    503: "Not available now",
}


class Problem(HandraiserError):
    """An answer other than 200, as RFC 9457 problem details; ``faults`` names everything that is wrong at once."""

    def __init__(
        self, status: int, detail: str = "", faults: Sequence[Fault] = (), headers: dict[str, str] | None = None
    ) -> None:
        self.status, self.detail, self.faults, self.headers = status, detail, tuple(faults), headers or {}
        super().__init__(detail or TITLES.get(status, "Error"))

    def response(self) -> web.Response:
        body: dict[str, Any] = {"type": "about:blank", "title": TITLES.get(self.status, "Error"), "status": self.status}
        if self.detail:
            body["detail"] = self.detail
        if self.faults:
            body["errors"] = [fault.as_json() for fault in self.faults]
        if identifier := request_id.get():
            body["request_id"] = identifier
        return web.Response(
            status=self.status, body=orjson.dumps(body), content_type="application/problem+json", headers=self.headers
        )


def problem_of(error: BaseException) -> Problem:
    """Our errors in HTTP's language."""
    match error:
        case Problem():
            return error
        case Malformed():
            return Problem(400, faults=error.faults)
        case Refused():
            return Problem(422, "Some of what was sent cannot be used; errors names each place.", error.faults)
        case TemplateRefused():
            faults = [
                Fault(
                    f"{f.source}:{f.line}:{f.column}", f.code, f.detail + (f" ({f.suggestion})" if f.suggestion else "")
                )
                for f in error.faults
            ]
            return Problem(422, "The template cannot go live.", faults)
        case NotFound():
            return Problem(404, str(error))
        case Conflict():
            return Problem(409, str(error))
        case IdempotencyMismatch():
            fault = Fault("Idempotency-Key", "idempotency_mismatch", "this key was used with another request")
            return Problem(422, "Use a new Idempotency-Key for a changed request.", [fault])
        case IdempotencyInFlight():
            return Problem(409, "Try again with the same key in a moment.", headers={"Retry-After": "1"})
        case StoreUnavailable():
            return Problem(
                503, "The database cannot take this now; nothing was recorded.", headers={"Retry-After": "2"}
            )
        case web.HTTPException():
            kept = {
                name: value for name, value in error.headers.items() if name in ("Allow", "Retry-After", "Location")
            }
            return Problem(error.status, headers=kept)
        case _:
            return Problem(500, "The fault was logged under this request id.")


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json", headers=headers)


def long_text(text: str) -> orjson.Fragment:
    """A long text as a part of an answer, made in pieces: for each text orjson first asks for eight times its size, and
    fetching blocks of that size and giving them back takes longer than all the rest."""
    pieces = [orjson.dumps(text[at : at + _PIECE])[1:-1] for at in range(0, len(text), _PIECE)]
    return orjson.Fragment(b'"%b"' % b"".join(pieces))


async def read_body(request: web.Request, limit: int, seconds: float) -> bytes:
    """The whole body, within size (413) and time (408): aiohttp itself has no read time-out."""
    size = request.content_length or 0
    body = b""
    if size <= limit:
        # A small body is there before its handler begins.
        arrived = request.content.is_eof()
        body = request.content.read_nowait() if arrived else await _arriving(request, limit, seconds)
        size = len(body)
    if size > limit:
        raise Problem(413, f"At most {limit} bytes are accepted.", headers={"Connection": "close"})
    return body


async def _arriving(request: web.Request, limit: int, seconds: float) -> bytes:
    """What comes of a body within the time, until it is too large."""
    parts, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            while size <= limit and (part := await request.content.readany()):
                size += len(part)
                parts.append(part)
    except TimeoutError:
        raise Problem(408, headers={"Connection": "close"}) from None
    return b"".join(parts)


class Front:
    """The middleware before all HTTP doors: request ids, problems, headers, metrics, what the proxy says."""

    def __init__(self, metrics: Metrics, trusted_proxies: Sequence[str] = ()) -> None:
        self._metrics = metrics
        self._trusted = tuple(ipaddress.ip_network(network) for network in trusted_proxies)
        self._children: dict[tuple[str, str, int], tuple[Any, Any]] = {}

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("X-Request-Id", "")
        identifier = given if _REQUEST_ID.fullmatch(given) else secrets.token_urlsafe(12)
        token = request_id.set(identifier)
        started = time.perf_counter()
        try:
            if self._trusted:
                request = self._through_proxies(request)
            try:
                response = await handler(request)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                problem = problem_of(error)
                if problem.status >= 500 and not isinstance(error, StoreUnavailable):
                    log.error("request failed", exc_info=error, extra={"facts": {"route": _route(request)}})
                response = problem.response()
            if not response.prepared:
                headers = response.headers
                headers["X-Request-Id"] = identifier
                for name, value in _SECURITY.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", API_CSP)
            self._count(request, response.status, time.perf_counter() - started)
            return response
        finally:
            request_id.reset(token)

    def _count(self, request: web.Request, status: int, seconds: float) -> None:
        key = (_route(request), request.method if request.method in _METHODS else "OTHER", status)
        children = self._children.get(key)
        if children is None:
            children = self._children[key] = (
                self._metrics.requests.labels(key[0], key[1], str(status)),
                self._metrics.seconds.labels(key[0]),
            )
        children[0].inc()
        children[1].observe(seconds)

    def _through_proxies(self, request: web.Request) -> web.Request:
        """Walk X-Forwarded-For from the right through trusted networks only: a client cannot forge its address."""
        remote = request.remote or ""
        if not self._is_trusted(remote):
            return request
        hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
        for hop in reversed(hops):
            remote = hop
            if not self._is_trusted(hop):
                break
        scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
        return request.clone(remote=remote, scheme=scheme if scheme in ("http", "https") else request.scheme)

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _route(request: web.Request) -> str:
    """The route's template, never the path itself: a path may hold a token or a customer's id."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unmatched"


class Health:
    """/healthz (the process lives), /readyz (it should get work) and /metrics."""

    def __init__(self, metrics: Metrics, store_ok: Callable[[], Awaitable[bool]]) -> None:
        self._store_ok = store_ok
        self.exposition: Callable[[], Awaitable[bytes]] = partial(_exposition, metrics)
        """What ``/metrics`` answers; workers that share a port answer for all of them."""
        self._at_work = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = False

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/healthz", self.alive),
            web.get("/readyz", self.ready),
            web.get("/metrics", self.metrics),
            web.get("/favicon.ico", self.no_icon),
        ]

    @web.middleware
    async def watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count what is at work; while draining, tell clients to connect anew, which leads them elsewhere."""
        self._at_work += 1
        self._idle.clear()
        try:
            response = await handler(request)
        finally:
            self._at_work -= 1
            if not self._at_work:
                self._idle.set()
        if self.draining and not response.prepared:
            response.force_close()
        return response

    async def idle(self, seconds: float) -> None:
        """Wait until nothing is at work, at most so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)

    async def alive(self, _request: web.Request) -> web.Response:
        return json_response({"status": "alive"})

    async def ready(self, _request: web.Request) -> web.Response:
        store = await self._store_ok()
        if self.draining or not store:
            return json_response({"status": "draining" if self.draining else "store unavailable"}, status=503)
        return json_response({"status": "ready"})

    async def metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=await self.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def no_icon(self, _request: web.Request) -> web.Response:
        return web.Response(status=204)


async def _exposition(metrics: Metrics) -> bytes:
    return generate_latest(metrics.registry)


def static_routes(templates: Path) -> list[web.RouteDef]:
    """``/static/<name>``: the files of ``templates/static``, read once."""
    files = {path.name: path.read_bytes() for path in (templates / "static").iterdir() if path.suffix in _STATIC_TYPES}

    async def static(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in files:
            raise NotFound("there is no file of this name")
        return cached(request, files[name], _STATIC_TYPES[Path(name).suffix])

    return [web.get("/static/{name}", static)]


def cached(request: web.Request, body: bytes, content_type: str) -> web.Response:
    """An answer that a browser may keep and must ask about again; 304 while it is the same."""
    tag = hashlib.sha256(body).hexdigest()[:32]
    headers = {"Cache-Control": "no-cache", "ETag": f'"{tag}"'}
    if any(known.value == tag for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    charset = None if content_type == "application/json" else "utf-8"
    return web.Response(body=body, content_type=content_type, charset=charset, headers=headers)
