"""First exposures in the commit of their message: one for each subject, and the first one counts."""

from __future__ import annotations

import pytest

from handraiser.core.assignment import Draw
from handraiser.store import messages, recording
from handraiser.store.database import Database, Session
from handraiser.store.experiments import Exposure
from handraiser.store.recording import Kept, Lost
from handraiser.store.writer import Reader, Writer
from rows import a_recording, an_id, key

TEST = an_id(7000)


def drawn(arm: int, version: int = 1) -> tuple[Exposure, ...]:
    return (Exposure(TEST, Draw(arm, version), "", ()),)


async def test_the_look_up_finds_it_where_it_matters(reader: Reader, writer: Writer):
    await writer.write(recording.record, a_recording(1, exposures=drawn(1, 3)))
    assert (await reader.read(messages.look_up, key(experiments=True))).drawn == {TEST: Draw(1, 3)}
    assert (await reader.read(messages.look_up, key())).drawn == {}
    assert (await reader.read(messages.look_up, key("bob@example.com", experiments=True))).drawn == {}


async def test_another_arm_of_the_same_test_is_lost_and_the_same_one_is_kept_once(database: Database, writer: Writer):
    assert isinstance(await writer.write(recording.record, a_recording(1, exposures=drawn(0))), Kept)
    for version in (None, 0):
        late = a_recording(2, version=version, subject_id=an_id(1001), exposures=drawn(1))
        assert isinstance(await writer.write(recording.record, late), Lost)
    same = a_recording(3, version=None, subject_id=an_id(1001), exposures=drawn(0, 2))
    assert isinstance(await writer.write(recording.record, same), Kept)
    rows = await database.fetch("SELECT arm, weights_version, message_id FROM exposure")
    assert [tuple(row) for row in rows] == [(0, 1, an_id(1))]
    assert len(await database.fetch("SELECT * FROM exposure_waiting")) == 1


async def test_of_one_batch_the_first_arm_counts(database: Database):
    batch = [a_recording(n, version=None, subject_id=an_id(1001), exposures=drawn(n % 2)) for n in (1, 2, 3)]
    async with database.transaction() as tx:
        outcomes = await recording.record(tx, batch)
    assert [type(one) for one in outcomes] == [Kept, Lost, Kept]
    rows = await database.fetch("SELECT arm, message_id FROM exposure")
    assert [tuple(row) for row in rows] == [(1, an_id(1))]


async def test_where_nothing_is_tested_no_statement_knows_of_it(
    reader: Reader, writer: Writer, monkeypatch: pytest.MonkeyPatch
):
    said: list[str] = []
    statement = Session._statement

    async def heard(session: Session, text: str, values: list[object]) -> object:
        said.append(text)
        return await statement(session, text, values)

    monkeypatch.setattr(Session, "_statement", heard)
    await reader.read(messages.look_up, key())
    await writer.write(recording.record, a_recording(1))
    plain = len(said)
    assert not [text for text in said if "exposure" in text or "experiment" in text]
    await reader.read(messages.look_up, key("bob@example.com", experiments=True))
    await writer.write(recording.record, a_recording(2, "bob@example.com", exposures=drawn(0)))
    assert len(said) == 2 * plain + 2, "one look-up all the same; two statements more where somebody is new to a test"
