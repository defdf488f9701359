"""The words that a footer begins with, in the languages shops write in, and those that say the order goes on."""

from __future__ import annotations

import re

EARLIEST = 0.35
"""A footer does not begin before this share of what can be seen."""

FOOTER_TEXT = re.compile(
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
STILL_THE_ORDER = re.compile(
    r"""\b(?:sub-?\ ?total|grand\ total|order\ total|total|gesamt(?:summe|betrag|preis)?|summe|zwischensumme|totaal
    |subtotaal|sous-total|importe|totale|razem|suma|yhteens[äa]|celkem|[öo]sszesen|toplam|итого|סה"כ)\b|المجموع|الإجمالي|合計|小計""",
    re.IGNORECASE | re.VERBOSE,
)
