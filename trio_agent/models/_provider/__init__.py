"""What the models of all providers share: asking, answering, failing."""

# To read the source: `_model` asks a provider and keeps the deadlines with `_answer`, at the place
# that `_endpoint` found. `_codec` says what a language is; `_stream` has the rules of all decoders.
# `_errors` names what a provider complains about (`_complaint`, `_retry_after`).
