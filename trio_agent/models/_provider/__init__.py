"""What the models of all providers share: asking, answering, failing."""
