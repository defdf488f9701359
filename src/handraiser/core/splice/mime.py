"""A finished mail read, and given back with words in its HTML and its plain text: spliced, never serialised anew.

:func:`read` finds the parts that a reader is shown as the body, or says why the mail must be left alone; :func:`splice`
inserts, reads the result again and compares. What to insert into the HTML, and where, is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from handraiser.core.splice.mime_check import agree, decoded_alike
from handraiser.core.splice.mime_fields import decoded, structural, with_parameters
from handraiser.core.splice.mime_leaf import Leaf, encoding_of, open_leaf
from handraiser.core.splice.mime_parts import Part, scan
from handraiser.core.splice.mime_reasons import Doubt, Reason, Untouchable
from handraiser.core.splice.mime_words import paragraph

MAX_BYTES = 25 * 2**20
MAX_LINES = 500_000
"""The second parser takes some microseconds a line."""
KEPT, KEPT_BYTES = 16, 200_000
"""How many mails of at most so many bytes are remembered for a second reading."""
MAX_PARTS = 200
MAX_DEPTH = 20

_NEVER = {
    "multipart/signed": Reason.SIGNED,
    "application/pkcs7-signature": Reason.SIGNED,
    "application/x-pkcs7-signature": Reason.SIGNED,
    "application/pgp-signature": Reason.SIGNED,
    "multipart/encrypted": Reason.ENCRYPTED,
    "application/pkcs7-mime": Reason.ENCRYPTED,
    "application/x-pkcs7-mime": Reason.ENCRYPTED,
    "application/pgp-encrypted": Reason.ENCRYPTED,
    "multipart/report": Reason.REPORT,
    "message/disposition-notification": Reason.REPORT,
    "message/partial": Reason.PARTIAL_MESSAGE,
    "message/external-body": Reason.EXTERNAL_BODY,
}
SIGNING = frozenset(("dkim-signature", "arc-seal", "arc-message-signature", "domainkey-signature"))
"""The headers of signatures that any change to the body breaks."""
_DASHED = re.compile(rb"--(?<=[\r\n]--)[^\r\n]*")
"""Written so that the engine looks for two dashes first, which takes a fortieth of the time."""
# A word that is found fast, and the line it stands for.
_INLINE = (
    ("-BEGIN PGP ", re.compile(r"^-----BEGIN PGP ", re.MULTILINE), Reason.INLINE_PGP),
    ("begin", re.compile(r"^(?:begin(?:-base64)? [0-7]{3,4} \S|=ybegin )", re.MULTILINE), Reason.INLINE_FILE),
)


@dataclass(frozen=True, slots=True, eq=False)
class Mail:
    """A mail that may be enriched. ``html`` and ``text`` are what a reader is shown as the body: either is None where
    there is none, and ``text`` too where it is shown beside the HTML and not instead of it."""

    raw: bytes
    root: Part
    html: Leaf | None
    text: Leaf | None

    def headers(self, name: str) -> list[str]:
        """All values of a header of the mail itself, decoded, in their order."""
        return [decoded(value) for key, value in self.root.fields if key == name.lower()]

    def header(self, name: str) -> str | None:
        """The first of them, or None."""
        return next(iter(self.headers(name)), None)


def read(raw: bytes, *, signed_ok: bool = False, max_bytes: int = MAX_BYTES) -> Mail | Untouchable:
    """The mail with its body's leaves, or why it must pass as it is. No input makes it raise.

    ``signed_ok`` lets DKIM and ARC signed mail through: whoever sets it takes the signatures off and signs again.
    """
    try:
        return _read(raw, signed_ok, max_bytes)
    except Doubt as doubt:
        return Untouchable(doubt.reason)


def splice(
    mail: Mail, *, html: tuple[int, str] | None = None, text: tuple[int, str] | None = None
) -> bytes | Untouchable:
    """The mail with words inserted before the character at an offset of a leaf's text, or why that cannot be done.

    ``html`` is taken as it is, and must be ASCII; ``text`` becomes a paragraph of its own, in letters that the charset
    has. Line ends become the leaf's own. Everything else is byte for byte what it was: the result is read again by
    both parsers and compared.
    """
    try:
        return _splice(mail, html, text)
    except Doubt as doubt:
        return Untouchable(doubt.reason)


def _read(raw: bytes, signed_ok: bool, max_bytes: int) -> Mail:
    _bounded(raw, max_bytes)
    kept = len(raw) <= KEPT_BYTES
    root = (_kept_parts if kept else _parts)(raw)
    _may_be_touched(root, signed_ok)
    return (_kept_mail if kept else _opened)(raw, root)


def _bounded(raw: bytes, max_bytes: int) -> None:
    if len(raw) > max_bytes:
        raise Doubt(Reason.TOO_LARGE)
    if raw.count(b"\n") + raw.count(b"\r") - raw.count(b"\r\n") > MAX_LINES:
        raise Doubt(Reason.TOO_MANY_LINES)


def _parts(raw: bytes) -> Part:
    return scan(raw, max_parts=MAX_PARTS, max_depth=MAX_DEPTH)


def _opened(raw: bytes, root: Part) -> Mail:
    mail = _with_leaves(raw, root)
    agree(raw, root, _leaves(mail))
    return mail


# A mail is read twice within a moment: to know what it is, and to put something in.
_kept_parts = lru_cache(maxsize=KEPT)(_parts)
_kept_mail = lru_cache(maxsize=KEPT)(_opened)


def _with_leaves(raw: bytes, root: Part) -> Mail:
    html, text = _body(root)
    mail = Mail(raw, root, open_leaf(html, raw) if html else None, open_leaf(text, raw) if text else None)
    for leaf in _leaves(mail):
        for word, line, reason in _INLINE:
            if word in leaf.text and line.search(leaf.text):
                raise Doubt(reason)
    return mail


def _leaves(mail: Mail) -> list[Leaf]:
    return [leaf for leaf in (mail.html, mail.text) if leaf]


def _outside_mails(part: Part) -> Iterator[Part]:
    yield part
    if not part.kind.startswith("message/"):
        for child in part.children:
            yield from _outside_mails(child)


def _may_be_touched(root: Part, signed_ok: bool) -> None:
    names = {name for name, _ in root.fields}
    for part in _outside_mails(root):
        if reason := _NEVER.get(part.kind):
            raise Doubt(reason)
        if any(name == "content-md5" for name, _ in part.fields):
            raise Doubt(Reason.CONTENT_MD5)
        if part.kind.startswith("multipart/") and encoding_of(part) not in ("7bit", "8bit", "binary"):
            raise Doubt(Reason.UNKNOWN_ENCODING)
    if not signed_ok and names & SIGNING:
        raise Doubt(Reason.DKIM_SIGNED)
    if "list-id" in names:
        raise Doubt(Reason.MAILING_LIST)
    if any(
        name == "auto-submitted" and decoded(value).lower().startswith("auto-replied") for name, value in root.fields
    ):
        raise Doubt(Reason.AUTO_REPLIED)


# --- which parts are the body ----------------------------------------------------------------------------------------


def _body(root: Part) -> tuple[Part | None, Part | None]:
    """The HTML and the plain text that a reader is shown, in one of them or the other."""
    shown = list(_shown(root, ()))
    htmls = [(part, way) for part, way in shown if part.kind == "text/html"]
    texts = [(part, way) for part, way in shown if part.kind == "text/plain"]
    if len(htmls) > 1:
        raise Doubt(Reason.SEVERAL_HTML_PARTS)
    if htmls:
        html, way = htmls[0]
        instead = [part for part, other in texts if _alternatives(way, other)]
        if len(instead) > 1:
            raise Doubt(Reason.AMBIGUOUS_BODY)
        return html, instead[0] if instead else None
    if not texts:
        raise Doubt(Reason.NO_BODY)
    if any(_alternatives(texts[0][1], other) for _, other in texts[1:]):
        raise Doubt(Reason.AMBIGUOUS_BODY)
    return None, texts[0][0]


def _alternatives(one: tuple[Part, ...], other: tuple[Part, ...]) -> bool:
    """Whether a reader shows only one of two parts, by the multiparts on the way to each."""
    common = [a for a, b in zip(one, other, strict=False) if a is b]
    return bool(common) and common[-1].kind == "multipart/alternative"


def _shown(part: Part, way: tuple[Part, ...]) -> Iterator[tuple[Part, tuple[Part, ...]]]:
    """Text parts that are shown as they stand, each with the multiparts around it."""
    if part.kind.startswith("multipart/"):
        for child in part.children[:1] if part.kind == "multipart/related" else part.children:
            yield from _shown(child, (*way, part))
        if part.kind == "multipart/related":
            _root_comes_first(part)
    elif part.kind in ("text/html", "text/plain") and not _is_file(part, way):
        yield part, way


def _root_comes_first(related: Part) -> None:
    """The root of related parts is the first; where ``start`` names another (RFC 2387) some readers follow it."""
    start = related.parameters.get("start")
    if start and structural(related.children[0].fields, "content-id") != start:
        raise Doubt(Reason.AMBIGUOUS_BODY)


def _is_file(part: Part, way: tuple[Part, ...]) -> bool:
    """Whether a text part is an attached file. HTML of which that is not certain makes the mail doubtful."""
    disposition, parameters = with_parameters(structural(part.fields, "content-disposition") or "")
    beside = not way or way[-1].kind not in ("multipart/alternative", "multipart/related")
    if disposition == "attachment":
        if part.kind == "text/html" and not (beside and way):
            raise Doubt(Reason.AMBIGUOUS_BODY)
        return True
    named = any(name.partition("*")[0] in ("name", "filename") for name in (*part.parameters, *parameters))
    if named and way and beside and part.kind == "text/html":
        raise Doubt(Reason.AMBIGUOUS_BODY)
    return named and bool(way) and beside


# --- splicing --------------------------------------------------------------------------------------------------------


def _splice(mail: Mail, html: tuple[int, str] | None, text: tuple[int, str] | None) -> bytes:
    wanted = [(mail.html, html), (mail.text, text)]
    edits: list[tuple[Leaf, int, str]] = []
    for leaf, insertion in wanted:
        if insertion is None:
            continue
        offset, words = insertion
        if leaf is None or not 0 <= offset <= len(leaf.text):
            raise Doubt(Reason.NO_SUCH_PART)
        if leaf is mail.text:
            words = paragraph(words, leaf.text, offset, flowed=leaf.flowed)
        elif not words.isascii():
            raise Doubt(Reason.UNWRITABLE_TEXT)
        edits.append((leaf, offset, leaf.fitted(words)))
    edits.sort(key=lambda edit: edit[0].part.body)
    pieces: list[bytes] = []
    done = 0
    same_dashes = True
    for leaf, offset, words in edits:
        spliced = leaf.splice(offset, words)
        same_dashes = same_dashes and _DASHED.findall(b"\n" + spliced) == _DASHED.findall(b"\n" + leaf.body)
        pieces += [mail.raw[done : leaf.part.body], spliced]
        done = leaf.part.end
    result = b"".join((*pieces, mail.raw[done:]))
    _check(mail, result, edits, same_dashes=same_dashes)
    return result


def _check(mail: Mail, result: bytes, edits: list[tuple[Leaf, int, str]], *, same_dashes: bool) -> None:
    """The result has the same parts with the same bytes, but for the insertions, in the eyes of both parsers.

    Where the lines that begin with ``--`` are the same as before, no parser can see another boundary (RFC 2046 §5.1.1),
    and the second one need only decode the two leaves.
    """
    again = _again(result, same_dashes=same_dashes)
    old, new = list(mail.root.walk()), list(again.root.walk())
    texts = {id(leaf.part): leaf.text[:offset] + words + leaf.text[offset:] for leaf, offset, words in edits}
    same = len(old) == len(new) and all(
        before.kind == after.kind
        and mail.raw[before.start : before.body] == result[after.start : after.body]
        and (bool(before.children) or id(before) in texts or _content(mail.raw, before) == _content(result, after))
        for before, after in zip(old, new, strict=False)
    )
    for leaf, left in ((mail.html, again.html), (mail.text, again.text)):
        if leaf is None or left is None:
            same = same and leaf is left
        else:
            same = same and left.text == texts.get(id(leaf.part), leaf.text)
    if not same:
        raise Doubt(Reason.RESULT_DIFFERS)


def _again(result: bytes, *, same_dashes: bool) -> Mail:
    try:
        _bounded(result, 2 * len(result))
        root = _parts(result)
        _may_be_touched(root, signed_ok=True)
        mail = _with_leaves(result, root) if same_dashes else _opened(result, root)
    except Doubt:
        raise Doubt(Reason.RESULT_DIFFERS) from None
    if not all(map(decoded_alike, _leaves(mail))):
        raise Doubt(Reason.RESULT_DIFFERS)
    return mail


def _content(raw: bytes, part: Part) -> bytes:
    return raw[part.body : part.end]
