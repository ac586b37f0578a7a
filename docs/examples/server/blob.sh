digest=$(sha256sum < "$PICTURE" | cut -d ' ' -f 1)
curl -sS "$URL/runs/$RUN/blobs/$digest"
