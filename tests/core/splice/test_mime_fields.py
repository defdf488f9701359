"""Headers: strict where they decide what a mail is, forgiving where they are only looked at."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handraiser.core.splice.mime_fields import DECODED_BYTES, decoded, with_parameters
from handraiser.core.splice.mime_reasons import Doubt


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b" Your order\r\n\t1001 ", "Your order\t1001"),
        (b"=?utf-8?B?w7xiZXI=?= 1001", "über 1001"),
        (b"=?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab"),
        (b"=?windows-1252?q?5_=80?=", "5 €"),
        (b"=?x-unknown?q?=FC?=", "ü"),
        (b"=?utf-8?b?a?=", "=?utf-8?b?a?="),
        ("über".encode(), "über"),
        ("über".encode("latin-1"), "über"),
        ("=?utf-8?q?a?= über".encode(), "a über"),
        (b"", ""),
    ],
)
def test_a_header_is_decoded_as_people_read_it(value: bytes, said: str):
    assert decoded(value) == said


@given(
    st.binary(max_size=300)
    | st.lists(st.sampled_from([b"=?", b"?=", b"?q?", b"?b?", b"utf-8", b"=C3", b"a "])).map(b"".join)
)
@settings(deadline=None)
def test_any_header_can_be_decoded(value: bytes):
    assert isinstance(decoded(value), str)


def test_of_a_header_without_end_only_the_beginning_is_read():
    assert len(decoded(b"=?utf-8?q?a" * 10**6)) == DECODED_BYTES


@pytest.mark.parametrize(
    ("value", "kind", "parameters"),
    [
        ("Text/HTML", "text/html", {}),
        ('text/html; Charset="utf-8";', "text/html", {"charset": "utf-8"}),
        (r'a/b; name="x;\"y\"(z)"; q=1', "a/b", {"name": 'x;"y"(z)', "q": "1"}),
        ("text/plain (a comment; b=c); charset = utf-8 (other)", "text/plain", {"charset": "utf-8"}),
        ("text/plain; flag; format=flowed", "text/plain", {"format": "flowed"}),
        ('a/b; name="open', "a/b", {"name": '"open'}),
        ("a/b; name*0=x; name*1=y", "a/b", {"name*0": "x", "name*1": "y"}),
    ],
)
def test_a_type_is_read_with_its_parameters(value: str, kind: str, parameters: dict[str, str]):
    assert with_parameters(value) == (kind, parameters)


@pytest.mark.parametrize("more", ["charset=a; charset=b", "boundary*0=a; boundary*1=b", "charset*=utf-8''a"])
def test_a_decisive_parameter_that_can_be_read_in_two_ways_is_a_doubt(more: str):
    with pytest.raises(Doubt):
        with_parameters(f"text/html; {more}")
