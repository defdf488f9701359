"""A file of consents is read in pieces of any size, and says where each row ends."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handraiser.core.import_file import ROW_BYTES, FileRow, FileRows, Kind, guarded

CSV = b'email,event,wording\r\na@x.example,granted,"Yes, ""please""\nplease"\n\nb@x.example,,\n'


def read(raw: bytes, kind: Kind = "csv", piece: int = 7) -> list[FileRow]:
    rows = FileRows(kind)
    found = [row for at in range(0, len(raw), piece) for row in rows.push(raw[at : at + piece])]
    return found + list(rows.close())


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_csv_is_read_by_names_in_pieces_of_any_size(piece: int):
    first, second = read(CSV, piece=piece)
    assert first.given == {"email": "a@x.example", "event": "granted", "wording": 'Yes, "please"\nplease'}
    assert (second.number, second.given, second.end) == (2, {"email": "b@x.example"}, len(CSV))


def test_reading_goes_on_where_a_row_ended():
    first, second = read(CSV)
    rows = FileRows("csv", number=first.number, end=first.end)
    rows.names_are(CSV.split(b"\n")[0])
    assert list(rows.push(CSV[first.end :])) == [second]


@pytest.mark.parametrize("comma", [",", ";", "\t"])
def test_the_separator_and_a_byte_order_mark_are_found(comma: str):
    raw = f"Email{comma}Event{comma}Occurred At\na@x.example{comma}granted{comma}2020-01-01\n"
    (row,) = read(b"\xef\xbb\xbf" + raw.encode())
    assert row.given == {"email": "a@x.example", "event": "granted", "occurred_at": "2020-01-01"}


@pytest.mark.parametrize("line", [b"a@x.example,granted\n", b"event,event\n", b"\xff\n"])
def test_a_file_without_names_is_refused(line: bytes):
    with pytest.raises(ValueError, match=r"first line|utf-8"):
        read(line)


def test_ndjson_and_a_last_line_without_its_end():
    first, second = read(b'{"event": "granted"}\n\n{"event": null}', "ndjson")
    assert (first.given, second.given, second.number) == ({"event": "granted"}, {"event": None}, 2)


def test_a_bad_row_fails_alone():
    raw = b'event,email\ngranted,a,b\n\xff,x\ngranted,"open\ngranted,ok\n'
    rest = b"x,y\n" * (ROW_BYTES // 3)
    codes = [(row.number, row.fault.code if row.fault else "") for row in read(raw + rest, piece=9_000)]
    assert codes[:4] == [(1, "malformed"), (2, "not_utf8"), (3, "too_long"), (4, "")]
    assert [row.fault.code for row in read(b"[1]\n{\n", "ndjson") if row.fault] == ["wrong_type", "malformed"]


@pytest.mark.parametrize("piece", [9_000, 1_000_000])
def test_a_line_of_any_length_is_one_bad_row_and_the_next_keeps_its_number(piece: int):
    raw = b"event,email\ngranted," + b"y" * (10 * ROW_BYTES) + b"\ngranted,ok\n"
    long, good = read(raw, piece=piece)
    assert (long.number, long.fault and long.fault.code) == (1, "too_long")
    assert (good.number, good.given, good.end) == (2, {"event": "granted", "email": "ok"}, len(raw))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=9))
@example("\t")
def test_a_cell_that_was_guarded_comes_back_as_it_was(cell: str):
    sheet = io.StringIO()
    csv.writer(sheet).writerows([["event"], [guarded(cell)]])
    (row,) = read(sheet.getvalue().encode()) or [None]
    assert (row.given if row else {}) == ({"event": cell} if cell.strip() else {})


def test_no_cell_is_a_formula():
    assert [guarded(cell) for cell in ("=1", "+1", "-1", "@x", "a@x")] == ["'=1", "'+1", "'-1", "'@x", "a@x"]
