curl -sS "$URL/runs" \
  -H 'Content-Type: application/json' \
  -d '{"prompt": "How is the weather in Oslo?", "metadata": {"ticket": 7}}'
