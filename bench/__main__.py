"""``python -m bench``: every row in one run; the tables go to docs/performance.md, or to the screen alone."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench import fill, post, relay, scene, stages, table


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: rounds of so many seconds, and emails until memory must be flat."""

    rounds: int = 7
    seconds: float = 3.0
    emails: int = 50_000


def run(size: Size, *, shops: tuple[str, ...] = scene.SHOPS, with_node: bool = True) -> str:
    """Measure every row and return the tables."""
    with tempfile.TemporaryDirectory(prefix="handraiser-bench-") as folder:
        _say("setting an installation up")
        state = asyncio.run(scene.prepare(Path(folder), shops))
        _say("filling")
        filled = fill.measure(rounds=size.rounds, seconds=size.seconds / 3, with_node=with_node)
        _say("stages")
        staged = asyncio.run(stages.measure(state, seconds=size.seconds / 3))
        _say("posting")
        posted = post.measure(state, rounds=size.rounds, seconds=size.seconds, emails=size.emails)
        _say("relaying")
        relayed = relay.measure(state, rounds=size.rounds, seconds=size.seconds)
    return table.compose(filled, posted, staged, relayed)


def main() -> None:
    """The command line."""
    usual = Size()
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure against the peers, in one run.")
    parser.add_argument("--rounds", type=int, default=usual.rounds, help="rounds of every road, in turn")
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="length of a round")
    parser.add_argument("--emails", type=int, default=usual.emails, help="emails until the memory is read last")
    parser.add_argument("--print", action="store_true", help="leave docs/performance.md as it is")
    given = parser.parse_args()
    text = run(Size(given.rounds, given.seconds, given.emails))
    if not given.print:
        table.write(text)
    print(text)


def _say(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
