curl -sS -N "$URL/runs/$RUN/events" -H "Last-Event-ID: $CURSOR"
