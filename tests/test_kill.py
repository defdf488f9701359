"""The service, a worker and PostgreSQL are killed while orders, presses and withdrawals come in, and the database takes
nothing for a while: whatever was acknowledged is there afterwards, once and whole."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from killing import besieged, kill_for, prove

KILLS = 3


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_was_acknowledged_before_a_kill_is_there_after_it_once_and_whole(kind: str, tmp_path: Path):
    with besieged(tmp_path, kind) as (siege, inbox):
        kill_for(siege, KILLS, seed=1, seconds=(0.1, 0.6))
        assert asyncio.run(prove(siege, inbox)) == []

    noted = siege.noted
    assert siege.kills == KILLS
    assert len(noted.messages) > 10, "the kills came too early to prove anything"
    assert min(len(noted.left), len(noted.granted), len(noted.doubted)) > 1
    assert noted.unrecorded > 0, "no receipt went out while the database took nothing"
    for line in siege.log:
        # What cannot start, because PostgreSQL is just dead, says so in a line for people.
        assert line.startswith("handraiser: the database cannot ") or json.loads(line), line
    assert not [line for line in siege.log if "alice" in line or "/o/" in line or "/u/" in line]
