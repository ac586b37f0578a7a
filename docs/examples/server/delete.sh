curl -sS -X DELETE -w '%{http_code}\n' "$URL/runs/$RUN"
