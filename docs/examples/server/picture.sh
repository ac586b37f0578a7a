{
  printf '{"messages": [{"role": "user", "content": ['
  printf '{"type": "text", "text": "What is in this picture?"},'
  printf '{"type": "file", "mediaType": "image/png", "data": "'
  base64 -w 0 "$PICTURE"
  printf '"}]}]}'
} | curl -sS "$URL/runs" -H 'Content-Type: application/json' --data-binary @-
