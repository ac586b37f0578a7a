curl -sS "$URL/runs?limit=1&before=$RUN"
