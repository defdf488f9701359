"""``make fuzz``: each target for SECONDS (default 600), and what broke. Beside it ``make fuzz`` plays the properties of
``tests`` that hypothesis knows (``-m hypothesis``) with many more examples."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
from guided import guided
from targets import TARGETS

KEPT = Path(".state/fuzz")


def main() -> int:
    broken = 0
    for name in os.environ.get("TARGET", "").split() or TARGETS:
        found = guided(name, KEPT, f"-max_total_time={os.environ.get('SECONDS') or 600}")
        click.echo(f"{name:<6} {found.tried:>9,} inputs  {'BROKEN' if found.fault else 'held'}")
        if found.fault:
            broken += 1
            click.echo(found.fault)
            click.echo(f"Kept in {KEPT / name}-broken; again: python tests/fuzz/guided.py {name} FILE")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
