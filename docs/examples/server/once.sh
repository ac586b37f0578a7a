for attempt in 1 2; do
  curl -sS -o /dev/null -w '%{http_code} %header{location}\n' "$URL/runs" \
    -H 'Content-Type: application/json' \
    -H 'Idempotency-Key: ticket-7' \
    -d '{"prompt": "How is the weather in Oslo?"}'
done
