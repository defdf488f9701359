"""G: the confirmation mail that Germany gets, as it arrives: the request alone, for a logo or a welcome advertises."""

from __future__ import annotations

import re
from pathlib import Path

from handraiser.core.shop import Brand
from mailserver import Inbox, links_of
from programs import Programs
from running import BOATS, TENTS, an_order, running, settings_for, the_ask

SIGNED = """
[[market_overrides]]
countries = ["DE"]
approved_by = "Dr. Jane Roe, counsel"
approved_on = 2026-11-20
signed_off = true
"""
GERMAN = TENTS.replace("[controller]", 'logo_url = "https://tents.example/logo.png"\n\n[controller]', 1) + SIGNED


async def test_g_the_confirmation_mail_of_germany_is_naked(database_url: str, tmp_path: Path, compiled: Programs):
    order = an_order(customer={"country": "DE"}) | {
        "soft_opt_in": {"notice_at_collection": True, "similar_goods": True}
    }
    hop = Inbox()
    settings = settings_for(tmp_path, database_url, smtp_url=hop.url)
    async with hop.open(), running(settings, compiled, [GERMAN, BOATS]) as house:
        asked = await house.email(order)
        await house.press(the_ask(asked))
        mail = await hop.next()

        (entry,) = (await house.get("/v1/consents?customer_id=7"))[1]["entries"]
        assert (entry["event"], entry["jurisdiction"]) == ("pending", "DE")
        proof = (await house.get(f"/v1/consents/{entry['event_id']}"))[1]
        benefit = proof["wording"]["content"]["promise"]["benefit"]

    parts = {part.get_content_type(): part.get_content() for part in mail.walk() if not part.is_multipart()}
    assert parts.keys() == {"text/plain", "text/html"}
    body = parts["text/html"].partition("<body>")[2]
    assert benefit in asked["html"]
    for never in ("<img", "logo", "background", "url(", 'class="button', Brand().primary, Brand().accent, "style="):
        assert never not in body
    for said in parts.values():
        assert benefit not in said
        assert not re.search("welcome|thank you|discount|offer you|news from", said, re.IGNORECASE)
    confirm, decline, never = links_of(mail)
    assert set(re.findall(r'href="([^"]+)"', body)) == {confirm, decline, never, "https://tents.example/privacy"}
