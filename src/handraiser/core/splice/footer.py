"""Where the footer of a shop's mail begins, in the languages shops write in."""

from __future__ import annotations

import re
from collections.abc import Iterator

from handraiser.core.splice.document import Document, Node

EARLIEST = 0.35
"""A footer does not begin before this share of what can be seen."""
TRIED = 3
"""How many passages that look like a footer's beginning are tried."""

_FOOTER_NAME = re.compile(
    r"footer|(?<![a-z])foot(?![a-z])|unsubscribe|(?<![a-z])legal|(?<![a-z])credits?(?![a-z-])|imprint|impressum",
    re.IGNORECASE,
)
_FOOTER_TEXT = re.compile(
    r"""unsubscribe|opt[ -]out|email\ preferences|manage\ (?:your\ )?(?:preferences|subscription)
    |abmelden|abbestell|austragen|uitschrijven|afmelden|d[ée]sabonn|d[ée]sinscri|darse\ de\ baja|date\ de\ baja
    |cancelar\ (?:la\ |a\ |sua\ )?(?:suscrip|inscri|subscri|assinatura)|disiscri|annulla\ (?:l')?iscrizione
    |wypisz|zrezygnuj|avprenumer|avregistrer|afmeld|avmeld|peruuta\ tilau|odhl[aá][sš]|leiratkoz|dezabon
    |abonelik|отписа|відписа|إلغاء\ الاشتراك|להסרה|配信停止|取消订阅|수신\ ?거부
    |©|\(c\)\s*\d{4}|copyright|all\ rights\ reserved|alle\ rechte\ vorbehalten|alle\ rechten\ voorbehouden
    |tous\ droits\ r[ée]serv|todos\ los\ derechos|todos\ os\ direitos|tutti\ i\ diritti|wszelkie\ prawa
    |alla\ r[äa]ttigheter|جميع\ الحقوق|כל\ הזכויות|все\ права
    |impressum|imprint|mentions\ l[ée]gales|aviso\ legal|privacy\ (?:policy|statement)|datenschutz|privacybeleid
    |privacyverklaring|confidentialit[ée]|privacidad|privacidade|informativa\ sulla|terms\ (?:of|and|&)\ |\bagb\b
    |algemene\ voorwaarden|condiciones\ generales|conditions\ g[ée]n[ée]rales
    |any\ questions|questions\s*\?|questions\ about|need\ (?:any\ )?help|fragen\s*\?|fragen\ zu|noch\ fragen
    |vragen\s*\?|heb\ je\ vragen|heeft\ u\ vragen|des\ questions|une\ question|preguntas|domande\s*\?|d[úu]vidas
    |pytania\s*\?|sp[øo]rsm[åa]l\s*\?|fr[åa]gor\s*\?|вопросы\s*\?|أسئلة|استفسار
    |do\ not\ reply|don['’]t\ reply|nicht\ auf\ diese|antworten\ sie\ (?:bitte\ )?nicht|niet\ op\ deze
    |ne\ pas\ r[ée]pondre
    |no\ responda|no\ respondas|non\ rispondere|n[ãa]o\ responda|nie\ odpowiadaj|не\ отвечайте
    |powered\ by|built\ with|sent\ (?:by|from)\ |you\ (?:are\ receiving|received|have\ received)\ this
    |diese\ (?:e-?mail|nachricht)\ (?:wurde|erhalten)|sie\ erhalten\ diese|u\ ontvangt\ deze|je\ ontvangt\ deze
    |vous\ recevez\ (?:cet|ce)|ha\ recibido\ este|recibes\ este|hai\ ricevuto\ questa|recebeu\ este
    |gesch[äa]ftsf[üu]hrer|registergericht|handelsregister|\bhr[ab]\s?\d|ust-?id|\bvat\ (?:no|number|id|reg)|\bkvk\b
    |\bbtw\b[ -]?(?:nr|nummer|id)|\bsiret\b|\bp\.?\ ?iva\b""",
    re.IGNORECASE | re.VERBOSE,
)
_STILL_THE_ORDER = re.compile(
    r"""\b(?:sub-?\ ?total|grand\ total|order\ total|total|gesamt(?:summe|betrag|preis)?|summe|zwischensumme|totaal
    |subtotaal|sous-total|importe|totale|razem|suma|yhteens[äa]|celkem|[öo]sszesen|toplam|итого|סה"כ)\b|المجموع|الإجمالي|合計|小計""",
    re.IGNORECASE | re.VERBOSE,
)


def footer_beginnings(document: Document) -> Iterator[list[Node]]:
    """Elements before which the footer begins, the outermost first, for each passage that looks like its beginning.

    An element stands in the list when nothing that can be seen comes before the passage in it.
    """
    found = 0
    words = document.words()
    last_of_order = max(
        (at for at, one in enumerate(words) if len(one.text) <= 60 and _STILL_THE_ORDER.search(one.text)),
        default=-1,
    )
    for at, one in enumerate(words):
        if at <= last_of_order or one.first < document.seen * EARLIEST:
            continue
        if not _FOOTER_TEXT.search(one.text) and not _named_footer(one.node):
            continue
        levels = []
        node: Node | None = one.node
        while node is not None and node.tag not in ("body", "html", "#document") and node.first == one.first:
            levels.append(node)
            node = node.parent
        if levels:
            yield levels[::-1]
            found += 1
        if found == TRIED:
            return


def _named_footer(node: Node) -> bool:
    return any(
        one.tag == "footer" or _FOOTER_NAME.search(f"{one.attrs.get('id', '')} {one.attrs.get('class', '')}")
        for one in (node, *node.ancestors())
        if one.tag not in ("body", "html")
    )
