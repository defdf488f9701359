"""Finished mails in the manner of well-known shop systems, what can be wrong with them, and what a splice must keep."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from selectolax.lexbor import LexborHTMLParser, LexborNode

from handraiser.core.splice.foreign import MARK, ForeignBlock
from handraiser.core.splice.html import Spliced

FOLDER = Path(__file__).parent / "corpus/mails"
MAILS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.html"))}
ASK = ForeignBlock(
    '<div style="padding:24px"><p style="margin:0;color:#22262a">Would you like to hear from us? '
    '<a href="https://go.example/o/AAAA.BBBB" style="color:#1f4d3a">Yes, sign me up</a></p></div>',
    "Would you like to hear from us?\n\nYes, sign me up: https://go.example/o/AAAA.BBBB",
)
_TAG_NAME = re.compile(r"(?<=<)/?[a-z][a-z0-9]*(?=[\s>])")


def _before(what: str, added: str) -> Callable[[str], str]:
    return lambda mail: mail.replace(what, added + what, 1) if what in mail else mail + added


def _inside_body(added: str) -> Callable[[str], str]:
    return lambda mail: re.sub(r"(<body[^>]*>|\A(?!.*<body))", lambda m: m[0] + added, mail, count=1, flags=re.I | re.S)


FAULTS: dict[str, Callable[[str], str]] = {
    "as it is": lambda mail: mail,
    "CRLF": lambda mail: mail.replace("\n", "\r\n"),
    "CR": lambda mail: mail.replace("\n", "\r"),
    "mixed line ends": lambda mail: mail.replace(">\n", ">\r\n", 7),
    "one line": lambda mail: mail.replace("\n", " "),
    "BOM": lambda mail: "\ufeff" + mail,
    "BOM and CRLF": lambda mail: "\ufeff" + mail.replace("\n", "\r\n"),
    "capital tags": lambda mail: _TAG_NAME.sub(lambda m: m[0].upper(), mail),
    "no doctype": lambda mail: re.sub(r"(?i)<!doctype[^>]*>", "", mail),
    "XML prolog": lambda mail: '<?xml version="1.0" encoding="utf-8"?>\n' + mail,
    "CDATA": _before("</body>", "<![CDATA[ <p>kept</p> ]]>"),
    "no body tags": lambda mail: re.sub(r"(?i)</?body[^>]*>", "", mail),
    "no end tags of the page": lambda mail: re.sub(r"(?i)</(body|html)>", "", mail),
    "two pages": lambda mail: mail + mail,
    "text after the page": lambda mail: mail + "\nSent by our shop system",
    "a comment after the page": lambda mail: mail + "<!-- 0.08s -->",
    "</body> twice": lambda mail: mail.replace("</body>", "</body></body>"),
    "</body> in a comment": lambda mail: mail + "<!-- </body> -->",
    "</body> in an attribute": _inside_body('<p title="</body>">Hello</p>'),
    "</body> in a script": lambda mail: mail + "<script>'</body>'</script>",
    "<body> in a comment": lambda mail: "<!-- <body> -->" + mail,
    "hidden preheader": _inside_body('<div style="display:none">&copy; Your order. Unsubscribe</div>'),
    "unclosed bold": _inside_body("<b><i>"),
    "unclosed font": _inside_body('<font color="red"><font size="2">'),
    "unclosed link": _inside_body('<a href="https://shop.example">'),
    "unclosed paragraph": _inside_body("<p>"),
    "unclosed tables": _inside_body("<table><tr><td>"),
    "cells without end tags": lambda mail: re.sub(r"</t[dr]>", "", mail),
    "stray end tags": _inside_body("</p></div></table></td></span>"),
    "a form around": _inside_body("<form><form>"),
    "noscript": _inside_body("<noscript><p>No script</p></noscript>"),
    "template": _inside_body("<template><tr><td>x</template>"),
    "picture in SVG": _inside_body("<svg><title></body></title><desc><p>x</p></desc><a>x</a></svg>"),
    "MathML": _inside_body("<math><mi>x</mi><mtext><table><tr><td>x</table></mtext></math>"),
    "select": _inside_body("<select><option>x</select>"),
    "unclosed comment": lambda mail: mail + "<!-- ",
    "unclosed tag": lambda mail: mail + '<td class="',
    "unclosed style": lambda mail: mail + "<style>p {",
    "unclosed textarea": lambda mail: mail + "<textarea>",
    "plaintext": lambda mail: mail + "<plaintext>",
    "NUL": _inside_body("a\x00b"),
    "lone surrogate": _inside_body("<p>\ud83d</p>"),
    "beyond the first plane": _inside_body("<p>\U0001f381 \U0001f381</p>"),
    "for Outlook only": _inside_body("<!--[if mso]><table><tr><td width=600><![endif]-->"),
    "not for Outlook": _inside_body("<!--[if !mso]><!--><p>Hello</p><!--<![endif]-->"),
    "cut in the middle": lambda mail: mail[: len(mail) // 2],
    "cut near the end": lambda mail: mail[: -len(mail) // 8],
}

_TAGS = re.findall(
    r"\S+",
    """<table> <tr> <td> </td> </tr> </table> <tbody> </tbody> <div> </div> <p> </p> <b> </b> <a> </a> <body> </body>
    </html> <center> <font> <form> <svg> </svg> <math> <select> </select> <style> </style> <script> </script> <li> <h1>
    <textarea> </textarea> <template> </template> <!-- --> <![endif]--> <!--<![endif]--> <plaintext> <caption> <col>
    <br> <noscript> </noscript> <title> </title> <![CDATA[ ]]> &copy; <frameset> <iframe> <object> <button> <nobr> <img>
    <hr> unsubscribe Total Tent""",
)
_MORE = ("<!-- handraiser:slot -->", "<!--[if mso]>", "<!--[if !mso]><!-->", "<td colspan=2>", "<td rowspan=9>")
_ODD = ('<div style="display:none">', "<html dir=rtl>", " ", "\n", "\r", "\r\n", "\ufeff", "\x00", "\U0001f381")
PIECES = (*_TAGS, *_MORE, *_ODD)
"""What HTML is made of, good and bad."""

Tree = tuple[object, ...]


def tree_of(html: str) -> Tree:
    """The tree that an HTML5 engine makes of ``html``, without our block and with neighbouring texts joined."""
    root = LexborHTMLParser(html).root
    assert root is not None
    return _branch(root)


def _branch(node: LexborNode) -> Tree:
    inside: list[object] = []
    child = node.first_child
    while child is not None:
        if child.is_text_node:
            if inside and isinstance(inside[-1], str):
                inside[-1] += child.text_content or ""
            else:
                inside.append(child.text_content or "")
        elif child.is_comment_node:
            if not (child.comment_content or "").startswith(("handraiser:begin", "handraiser:end")):
                inside.append(("comment", child.comment_content))
        elif MARK not in child.attributes:
            inside.append(_branch(child))
        child = child.next
    return (node.tag, tuple(node.attributes.items()), *inside)


def keeps_everything(mail: str, done: Spliced) -> None:
    """What holds of every splice: one ASCII insertion, the block once in the body, the tree around it as it was."""
    assert done.html == mail[: done.offset] + done.inserted + mail[done.offset :]
    assert done.inserted.isascii()
    assert max(map(len, done.inserted.splitlines())) < 400
    blocks = LexborHTMLParser(done.html).css(f"body [{MARK}]")
    assert len(blocks) == 1
    assert "Yes, sign me up" in " ".join(blocks[0].text().split())
    assert tree_of(done.html) == tree_of(mail)
