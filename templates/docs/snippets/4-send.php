<?php
/** The enriched HTML, or on any error and after two seconds the shop's own. */
function enriched(array $payload, string $key, string $own_mail): string
{
    $request = curl_init('$SERVER/v1/emails');
    curl_setopt_array($request, [
        CURLOPT_POSTFIELDS => json_encode($payload),
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_FAILONERROR => true,
        CURLOPT_NOSIGNAL => true,
        CURLOPT_TIMEOUT_MS => 2000,
        CURLOPT_HTTPHEADER => [
            "Authorization: Bearer $key",
            'Content-Type: application/json',
            "Idempotency-Key: order-{$payload['order']['id']}-{$payload['type']}",
        ],
    ]);
    $answer = curl_exec($request);
    return is_string($answer) ? json_decode($answer, true)['html'] ?? $own_mail : $own_mail;
}
