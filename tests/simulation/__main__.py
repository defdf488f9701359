"""``make simulate``: experiments whose truth is known, looked at every day for 60 days, and what came of each kind."""

from __future__ import annotations

import sys

import click
from outcomes import outcomes


def main() -> int:
    wrong = 0
    click.echo(f"{'':<64} {'measured':>9} {'limit':>9}")
    for one in outcomes():
        wrong += not one.holds
        limit = f"{'≥' if one.at_least else '≤'} {one.limit:g}"
        click.echo(f"{one.name:<64} {one.measured:>9.4f} {limit:>9}{'' if one.holds else '   WRONG'}")
    click.echo(f"\n{wrong} not within their limit")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
