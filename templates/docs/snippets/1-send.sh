# Two seconds, then your own mail: the receipt always goes out.
curl --max-time 2 --fail-with-body -sS $SERVER/v1/emails \
  -H "Authorization: Bearer $HANDRAISER_KEY" \
  -H "Content-Type: application/json" \
  -H "Idempotency-Key: order-1001-confirmation" \
  -H "Accept: message/rfc822" \
  -d '{"type": "order_confirmation",
       "customer": {"email": "alice@example.com", "first_name": "Alice", "locale": "en", "country": "US"},
       "order": {"id": "1001", "currency": "USD", "total": "199.00",
                 "lines": [{"name": "Tent", "quantity": 1, "unit_price": "199.00"}]}}' \
  > mail.eml || echo "send your own mail"
