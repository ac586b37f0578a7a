curl -sS "$URL/agents" -H "Authorization: Bearer $TOKEN"
