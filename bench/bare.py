"""The reference for the HTTP road: an aiohttp handler that parses the same body and returns the same bytes."""

from __future__ import annotations

import sys
from pathlib import Path

import orjson
from aiohttp import web


def main(port: int, answer: Path) -> None:
    """Serve on loopback until the process is ended; ``answer`` holds the body to return."""
    body = answer.read_bytes()

    async def email(request: web.Request) -> web.Response:
        orjson.loads(await request.read())
        return web.Response(body=body, content_type="application/json")

    application = web.Application()
    application.router.add_post("/v1/emails", email)
    web.run_app(application, host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
