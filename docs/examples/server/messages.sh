curl -sS "$URL/runs/$RUN/messages"
