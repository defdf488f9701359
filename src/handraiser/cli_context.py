"""What every command needs: settings, an event loop, and the way to the database or the service that holds it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from typing import Any

import click

from handraiser.settings import Settings, load


def settings_of(context: click.Context, **given: Any) -> Settings:
    """The settings of the file that ``--config`` names, of the environment, and of ``given``."""
    return load(os.environ, context.find_root().obj, **given)


def run(awaitable: Awaitable[Any]) -> Any:
    """Wait for it, in an event loop of its own."""

    async def story() -> Any:
        return await awaitable

    return asyncio.run(story())


def command(context: click.Context, name: str, /, **arguments: Any) -> Any:
    """Run a command on the database, or, when a running service holds it, through that service."""
    from handraiser.commands import run_command

    return run(run_command(settings_of(context), name, arguments))


as_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for machines.")
