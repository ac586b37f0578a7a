curl -sS "$URL/runs/$RUN"
