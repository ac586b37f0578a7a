curl -sS "$URL/health/ready"
