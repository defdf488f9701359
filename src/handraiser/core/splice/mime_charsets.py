"""The charsets that text in mail is written in, by their many names, and what may be done between their bytes."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from encodings import normalize_encoding
from encodings.aliases import aliases

from handraiser.core.splice.mime_reasons import Doubt, Reason

_SINGLE_BYTE = (
    "ascii latin_1 koi8_r koi8_u koi8_t kz1048 ptcp154 tis_620 mac_roman mac_cyrillic mac_greek mac_latin2 mac_turkish"
    " mac_iceland cp437 cp720 cp737 cp775 cp850 cp852 cp855 cp856 cp857 cp858 cp860 cp861 cp862 cp863 cp865 cp866 cp869"
    " cp874 cp1006 cp1125 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 iso8859_2 iso8859_3 iso8859_4"
    " iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_9 iso8859_10 iso8859_11 iso8859_13 iso8859_14 iso8859_15"
    " iso8859_16"
)
# In these no character's later bytes are a control character, blank or one of < > " & (WHATWG Encoding Standard).
_MULTI_BYTE = "utf_8 gb2312 gbk gb18030 big5 big5hkscs cp950 shift_jis cp932 shift_jisx0213 shift_jis_2004 euc_jp"
_MULTI_BYTE += " euc_jisx0213 euc_jis_2004 euc_kr cp949"
_SUPERSETS = frozenset((_SINGLE_BYTE + " " + _MULTI_BYTE).split())
_WIDE = frozenset(("utf_16", "utf_16_le", "utf_16_be", "utf_32", "utf_32_le", "utf_32_be"))
_ISO_2022_JP = [f"iso2022_jp{more}" for more in ("", "_1", "_2", "_2004", "_3", "_ext")]
_SHIFTING = frozenset(("utf_7", "hz", "iso2022_kr", *_ISO_2022_JP))
# What Python's own list of names lacks and mail has.
_MORE_NAMES = {
    "cp_850": "cp850",
    "iso_8859_6_i": "iso8859_6",
    "iso_8859_8_e": "iso8859_8",
    "iso_8859_8_i": "iso8859_8",
    "unicode_1_1_utf_7": "utf_7",
    "unicode_1_1_utf_8": "utf_8",
    "utf8mb4": "utf_8",
    "windows_31j": "cp932",
    "windows_874": "cp874",
    "windows_949": "cp949",
    "x_euc_jp": "euc_jp",
    "x_gbk": "gbk",
    "x_mac_roman": "mac_roman",
    "x_sjis": "shift_jis",
}
# Mailers write the larger charset under the smaller one's name; the bytes of the smaller mean the same in both.
_READ_AS = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949"}
_BYTE_ORDER_MARKS = {
    "utf_8": ((codecs.BOM_UTF8, "utf_8"),),
    "utf_16": ((codecs.BOM_UTF16_LE, "utf_16_le"), (codecs.BOM_UTF16_BE, "utf_16_be")),
    "utf_16_le": ((codecs.BOM_UTF16_LE, "utf_16_le"),),
    "utf_16_be": ((codecs.BOM_UTF16_BE, "utf_16_be"),),
    "utf_32": ((codecs.BOM_UTF32_LE, "utf_32_le"), (codecs.BOM_UTF32_BE, "utf_32_be")),
    "utf_32_le": ((codecs.BOM_UTF32_LE, "utf_32_le"),),
    "utf_32_be": ((codecs.BOM_UTF32_BE, "utf_32_be"),),
}
_NAME = re.compile(r" ?'?[A-Za-z0-9._:+-]{1,40}'? ?")
_SHIFT = re.compile(rb"\x1b[$(]")
_NOTHING = re.compile("[\udc80-\udcff]")


def codec_of(name: str) -> str | None:
    """Python's name of a charset that mail may be written in, or None.

    Only tables are asked: a look-up in ``codecs`` would import modules by names that come from outside, and keep them.
    """
    if not _NAME.fullmatch(name):
        return None
    plain = normalize_encoding(name).lower()
    found = _MORE_NAMES.get(plain) or aliases.get(plain, plain)
    return found if found in _SUPERSETS | _WIDE | _SHIFTING else None


@dataclass(frozen=True, slots=True)
class Text:
    """The bytes of a text, what they say, and where each character begins.

    ``mark`` is the byte order mark in front, no part of ``text``. Where bytes are nothing in their charset ``text``
    has one U+FFFD for each, and ``exact`` a surrogate that encodes to the byte again.
    """

    mark: bytes
    content: bytes
    exact: str
    codec: str
    write_codec: str
    text: str

    @property
    def wide(self) -> bool:
        """Whether a line end is more than its ASCII bytes."""
        return self.codec in _WIDE

    def byte_offset(self, characters: int) -> int:
        """Where in ``mark + content`` the text after so many characters begins.

        The encoded prefix must be the bytes that stand there. In an ASCII superset some characters have several byte
        forms: there the bytes are counted by decoding. Raises :class:`Doubt`.
        """
        before = self.exact[:characters]
        try:
            encoded = before.encode(self.codec, self._errors)
        except UnicodeEncodeError:
            encoded = b""
        if self.content.startswith(encoded) and (encoded or not before):
            return len(self.mark) + len(encoded)
        if self.codec not in _SUPERSETS:
            raise Doubt(Reason.UNSPLICEABLE_TEXT)
        low, high = characters, len(self.content)
        while low < high:
            middle = (low + high) // 2
            decoder = codecs.getincrementaldecoder(self.codec)(self._errors)
            low, high = (middle + 1, high) if len(decoder.decode(self.content[:middle])) < characters else (low, middle)
        return len(self.mark) + low

    def says(self, data: bytes, expected: str) -> bool:
        """Whether bytes in this charset say exactly ``expected`` (of ``exact``'s kind)."""
        try:
            return data[len(self.mark) :].decode(self.codec, self._errors) == expected
        except UnicodeDecodeError:
            return False

    @property
    def _errors(self) -> str:
        return "surrogateescape" if self.codec in _SUPERSETS else "strict"


def read_text(data: bytes, charset: str) -> Text:
    """Bytes in a charset, by the name a mail gives it. Raises :class:`Doubt` where they cannot be told for certain."""
    name = codec_of(charset)
    if name is None:
        raise Doubt(Reason.UNKNOWN_CHARSET)
    codec = _READ_AS.get(name, name)
    mark = b""
    for mark_bytes, marked in _BYTE_ORDER_MARKS.get(name, ()):
        if data.startswith(mark_bytes):
            mark, codec = mark_bytes, marked
            break
    if codec in ("utf_16", "utf_32"):
        raise Doubt(Reason.UNDECODABLE_TEXT)  # without a mark some readers take it for little-endian, others for big
    content = data[len(mark) :]
    if codec in _SUPERSETS:
        if _SHIFT.search(content):
            raise Doubt(Reason.UNKNOWN_CHARSET)  # ISO-2022 under another name: its < may be half a character
        errors = "surrogateescape"
    else:
        errors = "strict"
    try:
        exact = content.decode(codec, errors)
    except UnicodeDecodeError:
        raise Doubt(Reason.UNDECODABLE_TEXT) from None
    if "\0" in exact:
        raise Doubt(Reason.UNDECODABLE_TEXT)
    try:
        exact.encode("utf-8")
        text = exact
    except UnicodeEncodeError:
        text = _NOTHING.sub("\ufffd", exact)
    return Text(mark, content, exact, codec, codec if mark else name, text)
