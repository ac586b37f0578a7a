"""Files as JSON can hold them."""

from trio_agent._messages import File
from trio_agent.models._provider._file_data import data_url, in_base64


def test_data() -> None:
    file = File("image/png", data=b"\xff\xfe?")
    assert in_base64(file) == "//4/"
    assert data_url(file) == "data:image/png;base64,//4/"
