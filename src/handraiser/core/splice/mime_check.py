"""A mail read a second time, by the standard library: both must see the same parts, bytes and texts."""

from __future__ import annotations

import base64
import quopri
from collections.abc import Sequence
from email import message_from_bytes
from email.message import Message

from handraiser.core.splice.mime_leaf import Leaf
from handraiser.core.splice.mime_parts import Part
from handraiser.core.splice.mime_reasons import Doubt, Reason


def agree(raw: bytes, root: Part, leaves: Sequence[Leaf]) -> None:
    """Raises :class:`Doubt` unless the standard library reads the mail as we did.

    The types and the raw content of all parts, and encoding, charset and decoded bytes of ``leaves``, must be equal.
    Mails inside the mail count as one content.
    """
    try:
        same = _types_agree(root) and _same(
            message_from_bytes(raw), root, raw, {id(leaf.part): leaf for leaf in leaves}
        )
    except Exception:  # whatever a parser of many years raises on input like this, it did not read it as we did
        same = False
    if not same:
        raise Doubt(Reason.PARSERS_DISAGREE)


def _types_agree(root: Part) -> bool:
    """Before anything else: a boundary that only one of them sees could make a tree as deep as the mail is long."""
    for part in root.walk():
        message: Message = Message()
        for name, value in part.fields:
            if name == "content-type":
                message[name] = value.decode("ascii", "surrogateescape").lstrip(" \t")
                break
        else:
            continue
        if message.get_content_type() != part.kind:
            return False
        if (
            part.kind.startswith("multipart/")
            and message.get_boundary() != part.parameters.get("boundary", "").rstrip()
        ):
            return False
    return True


def _same(message: Message, part: Part, raw: bytes, leaves: dict[int, Leaf]) -> bool:
    if message.get_content_type() != part.kind:
        return False
    if part.kind.startswith("message/"):
        return message.is_multipart()
    if part.kind.startswith("multipart/"):
        children = message.get_payload()
        return (
            isinstance(children, list)
            and len(children) == len(part.children)
            and all(_same(one, ours, raw, leaves) for one, ours in zip(children, part.children, strict=True))
        )
    encoding = str(message.get("content-transfer-encoding", "7bit")).strip().lower()
    del message["content-transfer-encoding"]  # so that the library gives the content as it stands
    content = message.get_payload(decode=True)
    if content != raw[part.body : part.end]:
        return False
    leaf = leaves.get(id(part))
    return leaf is None or (
        encoding == leaf.encoding
        and (message.get_content_charset() or "us-ascii") == leaf.charset.lower()
        and _decoded(content, encoding) == leaf.decoded
    )


def decoded_alike(leaf: Leaf) -> bool:
    """Whether the standard library decodes a leaf as we did."""
    try:
        return _decoded(leaf.body, leaf.encoding) == leaf.decoded
    except ValueError:
        return False


def _decoded(content: bytes, encoding: str) -> bytes:
    if encoding == "quoted-printable":
        return quopri.decodestring(content)
    return base64.b64decode(content) if encoding == "base64" else content
