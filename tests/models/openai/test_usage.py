"""Which of the counts that came is the newest."""

import pytest

from trio_agent._events import Usage
from trio_agent.models.openai._chunk import Counts, Details
from trio_agent.models.openai._usage import newer_usage

SO_FAR = Usage(7, 3, 10, 5, 2)


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        (Counts(), SO_FAR),
        (Counts(0, 0, 0), SO_FAR),
        (Counts(prompt_tokens_details=Details(9)), SO_FAR),
        (Counts(8), Usage(8, 3, 11, 5, 2)),
        (Counts(None, 4), Usage(7, 4, 11, 5, 2)),
        (Counts(None, None, 20), Usage(7, 3, 20, 5, 2)),
        (Counts(8, 4, 15), Usage(8, 4, 15, 5, 2)),
        (Counts(input_tokens=8, output_tokens=4), Usage(8, 4, 12, 5, 2)),
        (Counts(8, 4, 12, prompt_tokens_details=Details(6)), Usage(8, 4, 12, 6, 2)),
        (Counts(8, 4, 12, prompt_tokens_details=Details(0)), Usage(8, 4, 12, 0, 2)),
        (Counts(8, 4, 12, completion_tokens_details=Details(None, 3)), Usage(8, 4, 12, 5, 3)),
        (Counts(8, 4, 12, prompt_cache_hit_tokens=6), Usage(8, 4, 12, 6, 2)),
        (Counts(8, 4, 12, cached_tokens=6), Usage(8, 4, 12, 6, 2)),
    ],
)
def test_counts(counts: Counts, usage: Usage) -> None:
    assert newer_usage(SO_FAR, counts) == usage
