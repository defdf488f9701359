"""A target under a fuzzer that is guided by which of our code each input reaches (atheris, which is libFuzzer).

As a program: ``guided.py TARGET [libFuzzer's options and folders, or a file to try again]``.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from targets import Target


@dataclass(frozen=True)
class Found:
    """``tried`` inputs; ``fault`` is what was said of the one that broke something, "" where none did."""

    tried: int
    fault: str


def guided(name: str, folder: Path, limit: str, *, every: int = 1) -> Found:
    """Try a target up to a limit of libFuzzer's, beginning with every so manieth of its seeds.

    ``folder`` keeps what was worth keeping, for the next time, and what broke.
    """
    from targets import TARGETS  # the fuzzed process must not have read them before

    if importlib.util.find_spec("atheris") is None:  # there are platforms without: the seeds alone are played
        return _played(TARGETS[name], every)
    corpus, seeds, broken = folder / name, folder / f"{name}-seeds", folder / f"{name}-broken"
    for one in (corpus, seeds, broken):
        one.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(TARGETS[name].seeds()[::every]):
        (seeds / f"{number}").write_bytes(one)
    words = folder / f"{name}.words"
    words.write_text("".join(f'"{one}"\n' for one in map(_escaped, TARGETS[name].words)))
    options = (limit, f"-dict={words}", f"-artifact_prefix={broken}/", "-print_final_stats=1")
    command = [sys.executable, __file__, name, *options, str(corpus), str(seeds)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, env=env)
    said = done.stdout.decode(errors="replace")
    (folder / f"{name}.log").write_text(said)
    tried = re.search(r"stat::number_of_executed_units: +(\d+)", said)
    return Found(int(tried[1]) if tried else 0, "" if done.returncode == 0 else said[-3000:])


def _played(target: Target, every: int) -> Found:
    seeds = target.seeds()[::every]
    with target.open() as check:
        for one in seeds:
            try:
                check(one)
            except Exception as error:
                return Found(len(seeds), f"{error!r} of {one!r}")
    return Found(len(seeds), "")


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=["handraiser"]):
        from targets import TARGETS

    name, *given = sys.argv[1:]
    options = (f"-max_len={TARGETS[name].size}", "-timeout=60", "-rss_limit_mb=2048", "-len_control=0")
    with TARGETS[name].open() as check:
        atheris.Setup([sys.argv[0], *options, *given], check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
