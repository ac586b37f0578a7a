curl -sS "$URL/runs" \
  -H 'Content-Type: application/json' -H 'Accept: text/event-stream' \
  -d '{"prompt": "And in Bergen?", "thread": "trip"}' | sed -n 's/^data: //p' | tail -n 1
