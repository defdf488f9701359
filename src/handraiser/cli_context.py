"""What commands share: settings, an event loop, the way to the database or the service that holds it, imports."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import click

from handraiser.printing import print_value
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


def import_with_progress(
    context: click.Context, what: str, file: Path, shop: str, errors: Path | None, *, as_json: bool
) -> None:
    """Import a file of ``consents`` or ``orders``, show how far it is, and print the sums."""
    from handraiser.transfer import import_file

    faults = errors or file.with_name(f"{file.name}.errors.ndjson")
    with click.progressbar(length=file.stat().st_size, label=file.name, file=sys.stderr) as bar:

        def moved(done: int) -> None:
            bar.update(max(done - bar.pos, 0))

        told = run(import_file(settings_of(context), file, shop, faults, moved, what))
    print_value(told, as_json=as_json)
    if told["refused"]:
        click.echo(f"{told['refused']} rows were left out: see {faults}", err=True)


as_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for machines.")
