"""The hash of an entry covers every column but those its position covers."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from handraiser.core.ledger_proof import canonical, leaf_hash

COLUMN = st.none() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary()


def test_the_leaf_is_that_of_rfc_6962_over_canonical_json():
    columns = {"b": b"\x01\xff", "a": "ä", "seq": 7, "batch_no": 1, "leaf_hash": b"x", "n": None, "i": 5}
    assert canonical(columns) == '{"a":"ä","b":"01ff","i":5,"n":null}'.encode()
    assert leaf_hash(columns) == hashlib.sha256(b"\x00" + canonical(columns)).digest()


@given(st.dictionaries(st.sampled_from("abcdef"), st.text(), min_size=1), st.data())
def test_any_changed_column_shows(columns: dict[str, str], data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(columns)))
    other = data.draw(COLUMN.filter(lambda value: value != columns[name] and not isinstance(value, bytes)))
    assert leaf_hash(columns | {name: other}) != leaf_hash(columns)


@given(st.dictionaries(st.text(), COLUMN))
def test_the_order_of_columns_does_not_matter(columns: dict[str, int | str | bytes | None]):
    assert leaf_hash(columns) == leaf_hash(dict(reversed(columns.items())))
