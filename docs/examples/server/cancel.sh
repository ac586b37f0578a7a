curl -sS -X POST "$URL/runs/$RUN/cancel"
