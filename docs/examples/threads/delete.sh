curl -sS -X DELETE -w '%{http_code}\n' "$URL/threads/trip"
