curl -sS "$URL/threads/trip"
