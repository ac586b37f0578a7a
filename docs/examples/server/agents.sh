curl -sS "$URL/agents"
