"""Names of attempts: each is another, and as long as keys of idempotency rely on."""

from trio_agent.stores.valkey._token import TOKEN_LENGTH, new_token


def test_tokens() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert {len(token.encode()) for token in tokens} == {TOKEN_LENGTH}
