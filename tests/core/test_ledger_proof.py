"""The hash of an entry covers every column but those its position covers; the tree over the hashes is RFC 6962's."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handraiser.core.ledger_proof import Tree, canonical, leaf_hash, leaf_of, node_of

COLUMN = st.none() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary()

# The vectors of Certificate Transparency's reference implementation.
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def mth(leaves: list[bytes]) -> bytes:
    """The Merkle Tree Hash exactly as RFC 6962 §2.1 defines it."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return node_of(mth(leaves[:k]), mth(leaves[k:]))


def test_the_leaf_is_that_of_rfc_6962_over_canonical_json():
    columns = {"b": b"\x01\xff", "a": "ä", "seq": 7, "batch_no": 1, "leaf_hash": b"x", "n": None, "i": 5}
    assert canonical(columns) == '{"a":"ä","b":"01ff","i":5,"n":null}'.encode()
    assert leaf_hash(columns) == hashlib.sha256(b"\x00" + canonical(columns)).digest()


@given(st.dictionaries(st.sampled_from("abcdef"), COLUMN))
def test_canonical_json_is_what_pythons_own_writes(columns: dict[str, int | str | bytes | None]):
    plain = {name: value.hex() if isinstance(value, bytes) else value for name, value in columns.items()}
    assert canonical(columns) == json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@given(st.dictionaries(st.sampled_from("abcdef"), st.text(), min_size=1), st.data())
def test_any_changed_column_shows(columns: dict[str, str], data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(columns)))
    other = data.draw(COLUMN.filter(lambda value: value != columns[name] and not isinstance(value, bytes)))
    assert leaf_hash(columns | {name: other}) != leaf_hash(columns)


@given(st.dictionaries(st.text(), COLUMN))
def test_the_order_of_columns_does_not_matter(columns: dict[str, int | str | bytes | None]):
    assert leaf_hash(columns) == leaf_hash(dict(reversed(columns.items())))


@pytest.mark.parametrize("size", range(9))
def test_the_roots_are_those_of_certificate_transparency(size: int):
    assert Tree(leaf_of(bytes.fromhex(one)) for one in INPUTS[:size]).root.hex() == ROOTS[size]


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_tree_grown_in_two_parts_is_the_tree_of_all_its_leaves(first: int, rest: int):
    leaves = [leaf_of(n.to_bytes(4)) for n in range(first + rest)]
    begun = Tree(leaves[:first])
    grown = Tree.unpacked(begun.size, begun.packed)
    for leaf in leaves[first:]:
        grown.append(leaf)
    assert (grown.size, grown.root) == (len(leaves), mth(leaves))
    assert len(grown.packed) == 32 * len(leaves).bit_count()


def test_what_is_kept_of_a_tree_fits_its_size_alone():
    with pytest.raises(ValueError, match="a tree of 3 leaves is not kept in 32 bytes"):
        Tree.unpacked(3, bytes(32))


def test_an_entry_from_before_a_column_came_hashes_as_it_did_and_what_is_put_there_shows():
    before: dict[str, int | str | bytes | None] = {"event": "granted", "purpose": "tips", "seq": 3}
    assert leaf_hash({**before, "preference": ""}) == leaf_hash(before)
    assert leaf_hash({**before, "preference": "{}"}) != leaf_hash(before)
