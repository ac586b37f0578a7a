"""What providers complain about, in all their shapes."""

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from trio_agent.models._provider._complaint import Complaint, complaint, complaint_in


@pytest.mark.parametrize(
    ("error", "meant"),
    [
        ("no", Complaint("no")),
        ({"error": "no"}, Complaint("no")),
        ({"message": "no", "code": 400, "type": "t"}, Complaint("no", 400, "t")),
        ({"error": {"message": "no", "code": "c"}, "type": "error"}, Complaint("no", "c", "error")),
        ({"error": {"detail": "no"}}, Complaint("no")),
        ({"error": {"message": "no", "status": "INVALID"}}, Complaint("no", "INVALID", "INVALID")),
        ({"object": "error", "message": "no", "code": 400}, Complaint("no", 400)),
        ({"status": 429, "error": "Too Many", "message": "Slow"}, Complaint("Slow", 429)),
        ({"errors": [{"message": "a"}, {"message": "b"}]}, Complaint("a; b")),
        ([{"error": {"message": "no", "code": 7}}], Complaint("no", 7)),
        ({"detail": "no"}, Complaint("no")),
        ({"detail": {"error": {"message": "no"}}}, Complaint("no")),
        ({"message": {"message": "no"}}, Complaint("no")),
        # E15
        (
            {"detail": [{"type": "t", "loc": ["body", "a", 0], "msg": "no", "input": "secret"}]},
            Complaint("a.0: no", "", "t"),
        ),
        ({"detail": [{"loc": ["body"], "msg": "a"}, {"msg": "b"}]}, Complaint("a; b")),
        ({"detail": [{"input": "the prompt"}]}, Complaint()),
        # E06
        (
            {"error": {"message": "Provider", "metadata": {"raw": '{"error":{"message":"no"}}'}}},
            Complaint("Provider: no"),
        ),
        ({"message": "a", "metadata": {"raw": "no"}}, Complaint("a: no")),
        ({"message": "a", "metadata": {"raw": {"detail": "no"}}}, Complaint("a: no")),
        ({"message": "a", "metadata": {"raw": None}}, Complaint("a")),
        ({"metadata": {"raw": "[" * 9999}}, Complaint("[" * 9999)),
        # by how names are spelt
        ({"error_code": 18, "error_msg": "no"}, Complaint("no", 18)),
        ({"errorCode": "c", "errorMessage": "no"}, Complaint("no", "c")),
        ({"error_message": "no"}, Complaint("no")),
        ({"Message": "no", "Code": "c"}, Complaint("no", "c")),
        (
            {"__type": "ThrottlingException", "Message": "no"},
            Complaint("no", "", "ThrottlingException"),
        ),
        ({"Response": {"Error": {"Code": "c", "Message": "no"}}}, Complaint("no", "c")),
        ({"ErrorMsg": {"Msg": "no", "Code": 4}}, Complaint("no", 4)),
        (
            {"fault": {"faultstring": "no", "detail": {"errorcode": "oauth.v2"}}},
            Complaint("no", "oauth.v2"),
        ),
        ({"title": "no", "status": 400}, Complaint("no", 400)),
        ({"title": "T", "detail": "no"}, Complaint("no")),
        ({"title": "T", "errors": {"n": ["a", "b"], "m": "c"}}, Complaint("n: a; b; m: c")),
        ({"errors": {"n": {"input": "the prompt"}}}, Complaint()),
        ({"error": {"code": "0", "message": "success"}}, Complaint()),
        ({"code": 200, "message": "OK"}, Complaint()),
        ({"code": "E1", "message": "success"}, Complaint("success", "E1")),
        (7, Complaint(code=7)),
        ({"code": 0, "type": "", "message": ""}, Complaint()),
        ({"code": True, "type": [], "message": 7}, Complaint()),
        ({}, Complaint()),
        ([], Complaint()),
        ("", Complaint()),
        (None, Complaint()),
        (True, Complaint()),
    ],
)
def test_shapes(error: Any, meant: Complaint) -> None:
    assert complaint(error) == meant
    assert bool(complaint(error)) == (meant != Complaint())


CHOICE = {"delta": {"content": "a"}}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"error": "no"}, "no"),
        ({"error": {"message": "no"}, "choices": [CHOICE]}, "no"),
        ({"choices": [CHOICE | {"error": {"message": "no"}}]}, "no"),
        ([{"error": "no"}], "no"),
        ({"object": "error", "message": "no"}, "no"),
        ({"type": "error", "message": "no"}, "no"),
        ({"detail": "no"}, "no"),
        ({"errors": ["no"]}, "no"),
        ({"code": 429, "message": "no"}, "no"),
        ({"status": "503", "message": "no"}, "no"),
        ({"base_resp": {"status_code": 1004, "status_msg": "no"}}, "no"),
        ({"choices": [CHOICE], "detail": "x", "code": 429}, ""),
        ({"choices": [CHOICE], "error": {"message": "", "code": None}}, ""),
        ({"choices": [CHOICE | {"error": {}}], "error": None}, ""),
        ({"base_resp": {"status_code": 0, "status_msg": "success"}}, ""),
        # no error in it, but a sign of one
        ({"code": "InvalidParameter", "message": "no", "request_id": "r"}, "no"),
        ({"code": 10013, "message": "no", "sid": "s"}, "no"),
        ({"error_code": 18, "error_msg": "no"}, "no"),
        ({"success": False, "message": "no"}, "no"),
        ({"success": False, "code": 200, "msg": "no"}, "no"),
        ({"status": "error", "message": "no"}, "no"),
        ({"status": "FAILED", "detail": "no"}, "no"),
        ({"error": True, "message": "no"}, "no"),
        ({"Response": {"Error": {"Code": "c", "Message": "no"}}}, "no"),
        ({"response": {"error": {"code": "c", "message": "no"}}, "type": "response.failed"}, "no"),
        ({"ErrorMsg": {"Msg": "no", "Code": 4}}, "no"),
        ({"fault": {"faultstring": "no"}}, "no"),
        ({"choices": None, "usage": None, "code": "c", "message": "no"}, "no"),
        ({"type": "response.created", "response": {"error": None, "message": "x"}}, ""),
        ({"code": 0, "message": "x"}, ""),
        ({"code": "0", "message": "x"}, ""),
        ({"code": "200", "message": "x"}, ""),
        ({"code": "Success", "message": "x"}, ""),
        ({"code": 7}, ""),
        ({"success": True, "message": "x"}, ""),
        ({"status": "queued", "message": "x"}, ""),
        ({"code": 7, "message": "x", "usage": {"total_tokens": 1}}, ""),
        ({"choices": [CHOICE], "code": 7, "message": "x", "success": False}, ""),
        ({"error": {"code": "0", "message": "success"}}, ""),
        ({"error": False, "message": "x"}, ""),
        ({"type": "ping", "message": "x"}, ""),
        ({"code": 200, "message": "x"}, ""),
        ({"models": []}, ""),
        ([], ""),
        ([[[7]]], ""),
        ("no", ""),
        (7, ""),
    ],
)
def test_what_comes_in_the_place_of_an_answer(value: Any, message: str) -> None:
    said = complaint_in(value)
    assert said.message == message
    assert bool(said) == bool(message)


def test_an_event_of_the_type_error() -> None:
    assert complaint_in({"message": "no"}, "error") == Complaint("no")
    assert not complaint_in({"message": "no"}, "message")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"detail": "position 3"}, ""),
        ({"status": "queued", "detail": "position 3"}, ""),
        ({"status": "failed", "detail": "no"}, "no"),
        ({"status": 503, "detail": "no"}, "no"),
        ({"detail": [{"loc": ["body", "n"], "msg": "no"}]}, "n: no"),
        ({"detail": {"error": "no"}}, "no"),
    ],
)
def test_a_detail_within_a_stream(value: Any, message: str) -> None:
    assert complaint_in(value, "message").message == message


@pytest.mark.parametrize(
    ("code", "status"),
    [(429, 429), ("429", 429), (200, None), (7, None), ("x", None), ("٤٢٩", None), (10**40, None)],
)
def test_status(code: Any, status: int | None) -> None:
    assert Complaint(code=code).status == status


@pytest.mark.parametrize(
    ("code", "status"), [(1002, 429), (1004, 401), (1013, 500), (2049, 401), (9999, None)]
)
def test_codes_of_minimax(code: int, status: int | None) -> None:
    assert complaint_in({"base_resp": {"status_code": code}}).status == status


NAMES = ["error", "errors", "message", "msg", "detail", "code", "status", "type", "loc", "metadata",
         "raw", "base_resp", "status_code", "choices", "object", "Response", "Error", "ErrorMsg",
         "success", "fault", "usage", "title", "details", "retryDelay"]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES), inner),
)


@settings(deadline=None)
@given(JSON, st.sampled_from([None, "message", "error"]))
def test_anything_can_be_read(value: Any, event: str) -> None:
    for said in (complaint(value), complaint_in(value, event)):
        assert isinstance(said.message, str)
        assert isinstance(said.type, str)
        assert said.status is None or 400 <= said.status < 600


def test_depth_is_bounded() -> None:
    value: Any = "deep"
    for _ in range(5000):
        value = {"error": [value]}
    assert complaint(value) == Complaint()
