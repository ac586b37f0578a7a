curl -sS -N "$URL/runs" \
  -H 'Accept: text/event-stream' \
  -H 'Content-Type: application/json' \
  -d '{"prompt": "How is the weather in Oslo?"}'
