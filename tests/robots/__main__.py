"""``make robots``: every visitor of the zoo before a running service, and what came of each."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click
from playwright.sync_api import sync_playwright
from zoo import PEOPLE, ROBOTS, a_house, played

from browsing import CHROMIUM, FLAGS
from programs import Programs


def main() -> int:
    wrong = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        a_house(Path(folder), Programs(Path(folder) / "programs.ndjson")) as house,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for title, visitors in (("Robot", ROBOTS), ("Person", PEOPLE)):
            click.echo(f"\n{title:<44} {'ledger':<10} expected")
            for one in visitors:
                outcome = played(one, house, chromium)
                wrong += outcome != one.outcome
                click.echo(f"{one.name:<44} {outcome:<10} {one.outcome}{'' if outcome == one.outcome else '   WRONG'}")
        chromium.close()
    click.echo(f"\n{len(ROBOTS) + len(PEOPLE)} visitors, {wrong} not as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
