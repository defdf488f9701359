import json
import urllib.request


def enriched(payload: dict, key: str, own_mail: str) -> str:
    """The enriched HTML, or on any error and after two seconds the shop's own."""
    request = urllib.request.Request(
        "$SERVER/v1/emails",
        data=json.dumps(payload).encode(),
        headers={
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"order-{payload['order']['id']}-{payload['type']}",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=2) as answer:
            return json.load(answer)["html"]
    except (OSError, ValueError, KeyError):
        return own_mail
