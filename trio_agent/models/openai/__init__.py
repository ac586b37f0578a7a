"""Models behind endpoints that speak OpenAI's Chat Completions."""
