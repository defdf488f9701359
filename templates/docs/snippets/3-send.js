// The enriched email, or null on any error and after two seconds: then send your own.
async function enriched(payload, key) {
  try {
    const answer = await fetch("$SERVER/v1/emails", {
      method: "POST",
      signal: AbortSignal.timeout(2000),
      headers: {
        Authorization: `Bearer ${key}`,
        "Content-Type": "application/json",
        "Idempotency-Key": `order-${payload.order.id}-${payload.type}`,
      },
      body: JSON.stringify(payload),
    });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}
