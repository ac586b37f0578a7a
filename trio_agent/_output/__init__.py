"""Answers with a shape: what is asked for, what came of it, and what of it is there so far."""
