"""What a function takes: from a model, and from us."""

import functools
from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar

import attrs
import pytest

from trio_agent.tools._context import RunContext, RunFacts, ToolContext
from trio_agent.tools._signature import is_async, name_of, signature_of


def test_annotations_that_cannot_be_resolved() -> None:
    def function(x: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(TypeError, match=r"'Nowhere' is not defined.*outside of `if TYPE_CHECKING"):
        signature_of(function)


class Retry:
    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> None: ...


class Service:
    def method(self, x: int) -> None: ...

    def __call__(self, y: int) -> None: ...


def test_partials_wrappers_and_methods() -> None:
    def function(a: int, b: int, c: int, d: int = 4) -> None: ...

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> None: ...

    def names(function: Callable[..., Any]) -> dict[str, Any]:
        return {p.name: p.annotation for p in signature_of(function).parameters}

    assert names(wrapper) == {"a": int, "b": int, "c": int, "d": int}
    assert names(functools.partial(function, 1)) == {"b": int, "c": int, "d": int}
    assert names(functools.partial(function, b=2)) == {"a": int, "c": int, "d": int}
    assert names(functools.partial(functools.partial(wrapper, 1), c=2)) == {"b": int, "d": int}
    assert names(functools.lru_cache(function)) == {"a": int, "b": int, "c": int, "d": int}
    assert names(Retry(function)) == {"a": int, "b": int, "c": int, "d": int}
    assert names(Service().method) == {"x": int}
    assert names(Service()) == {"y": int}
    assert names(functools.partial(Service())) == {"y": int}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x, /: None, "'x' is positional-only, but a model names its arguments: drop the /"),
        (lambda *args: None, r"\*args has no schema: declare each parameter"),
        (lambda **kwargs: None, r"\*\*kwargs has no schema: declare each parameter"),
        (Service.method, r"'self' can't come from a model: .* tool\(instance.method\)"),
    ],
)
def test_impossible_parameters(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        signature_of(function)


def test_self_is_an_ordinary_name_elsewhere() -> None:
    def function(x, self): ...  # type: ignore[no-untyped-def]

    def first(self: str) -> None: ...

    assert [p.name for p in signature_of(function).parameters] == ["x", "self"]
    assert [p.name for p in signature_of(first).parameters] == ["self"]


# The context


class Shop: ...


T = TypeVar("T")


@attrs.frozen
class Box(Generic[T]):
    value: T


def bare(context: ToolContext, n: int) -> None: ...
def with_deps(context: ToolContext[Shop], n: int) -> None: ...
def quoted(context: "ToolContext[Shop]", n: int) -> None: ...
def positional(context: ToolContext[Shop], /, n: int) -> None: ...
def noted(context: Annotated[ToolContext[Shop], "note"], n: int) -> None: ...
def called_otherwise(self: ToolContext[Shop], n: int) -> None: ...
def second(m: int, context: ToolContext[Shop], n: int) -> None: ...


class Methods:
    def method(self, context: ToolContext[Shop], n: int) -> None: ...

    def __call__(self, context: ToolContext[Shop], n: int) -> None: ...


@functools.wraps(with_deps)
def wrapper(*args: Any, **kwargs: Any) -> None: ...


@pytest.mark.parametrize(
    "function",
    [
        *(bare, with_deps, quoted, positional, noted, called_otherwise, wrapper),
        *(Methods().method, Methods()),
        *(functools.partial(second, 1), functools.partial(wrapper)),
        functools.partial(Methods().method),
    ],
)
def test_a_context_in_the_first_place_is_ours(function: Callable[..., Any]) -> None:
    signature = signature_of(function)
    assert signature.takes_context
    assert [p.name for p in signature.parameters] == ["n"]


def test_a_context_that_is_bound_is_nobodys() -> None:
    for function in (
        functools.partial(with_deps, ToolContext()),
        functools.partial(with_deps, context=ToolContext()),
    ):
        signature = signature_of(function)
        assert not signature.takes_context
        assert [p.name for p in signature.parameters] == ["n"]


def test_nothing_need_be_left() -> None:
    def only(context: ToolContext[Shop]) -> None: ...

    assert signature_of(only).parameters == ()
    assert signature_of(lambda: None).takes_context is False


def by_keyword(*, context: ToolContext[Shop]) -> None: ...
def optional(context: ToolContext[Shop] | None = None) -> None: ...
def several(*contexts: ToolContext[Shop]) -> None: ...
def others(**contexts: ToolContext[Shop]) -> None: ...
def twice(context: ToolContext[Shop], other: ToolContext[Shop]) -> None: ...
def inside(contexts: list[ToolContext[Shop]]) -> None: ...
def in_a_box(context: Box[ToolContext[Shop]]) -> None: ...
def of_a_run(context: RunContext[Shop]) -> None: ...
def facts(context: RunFacts) -> None: ...


@pytest.mark.parametrize(
    "function",
    [second, by_keyword, optional, several, others, twice, inside, in_a_box, of_a_run, facts],
)
def test_a_context_elsewhere_would_be_written_by_the_model(function: Callable[..., Any]) -> None:
    message = r"'\w+' can't come from a model: a ToolContext is filled in where it is the first"
    for described in False, True:
        with pytest.raises(TypeError, match=message):
            signature_of(function, described=described)


class Later:
    async def method(self) -> None: ...

    async def __call__(self) -> None: ...


async def later(x: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (later, True),
        (functools.partial(later, 1), True),
        (Later(), True),
        (Later().method, True),
        (Later, False),
        (Service(), False),
        (Service().method, False),
        (len, False),
        (lambda: later(1), False),
    ],
)
def test_whether_it_is_async(function: Any, says: bool) -> None:
    assert is_async(function) is says


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (later, [__name__, "later"]),
        (functools.partial(later, 1), ["functools.partial", __name__, "later"]),
        (Service(), [__name__, "Service"]),
        (Service, [__name__, "Service"]),
        (Service().method, [__name__, "Service.method"]),
        (lambda: None, [__name__, "<lambda>"]),
        (len, ["builtins", "len"]),
        # It is of no module.
        (str.upper, ["None", "str.upper"]),
    ],
)
def test_where_it_is_defined(function: Any, name: list[str]) -> None:
    assert name_of(function) == name
