"""docs/reference.md"""

import importlib
import inspect
import re
from types import ModuleType
from typing import Any

import pytest
from program_kit import REPOSITORY

PAGE = (REPOSITORY / "docs" / "reference.md").read_text()

MODULES = (
    "trio_agent",
    "trio_agent.abc",
    "trio_agent.wire",
    "trio_agent.client",
    "trio_agent.local",
    "trio_agent.tools.mcp",
    "trio_agent.testing",
    "trio_agent.testing.openai",
    "trio_agent.testing.anthropic",
    "trio_agent.testing.openai_responses",
    "trio_agent.servers",
)

SHOWN = re.findall(r"^\.\. (auto\w+|py:data):: (trio_agent[\w.]+)(?:\(.*\))?$", PAGE, re.MULTILINE)
NESTED = re.findall(
    r"^\.\. autoclass:: (trio_agent[\w.]+)|^   \.\. auto(?:attribute|method|property):: (\w+)$",
    PAGE,
    re.MULTILINE,
)


def public_names(module_name: str) -> dict[str, Any]:
    """What a module re-exports, by full name."""
    module = importlib.import_module(module_name)
    names: list[str] = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if not (name.startswith("_") or isinstance(value, ModuleType))
    ]
    return {f"{module_name}.{name}": getattr(module, name) for name in names}


PUBLIC = {
    "trio_agent.__version__": importlib.import_module("trio_agent").__version__,
    **{name: value for module in MODULES for name, value in public_names(module).items()},
}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_shown_once(name: str) -> None:
    # Some can be imported from two modules: they are shown in one of them.
    names = {other for other, value in PUBLIC.items() if value is PUBLIC[name]}
    assert [shown for _, shown in SHOWN].count(name) <= 1
    assert len([shown for _, shown in SHOWN if shown in names]) == 1


@pytest.mark.parametrize(("directive", "name"), SHOWN)
def test_what_is_shown_is_public_and_of_its_kind(directive: str, name: str) -> None:
    if directive == "automodule":
        assert name in MODULES
        return
    value = PUBLIC[name]
    if inspect.isclass(value):
        kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
    elif inspect.isroutine(value):
        kind = "autofunction"
    else:
        kind = "py:data" if name == "trio_agent.__version__" else "autodata"
    assert directive == kind


def test_members_that_are_named_exist() -> None:
    cls = None
    for class_name, member in NESTED:
        cls = PUBLIC[class_name] if class_name else cls
        assert class_name or hasattr(cls, member), f"{cls}.{member}"


def test_every_module_has_its_section() -> None:
    for module in MODULES[1:]:
        assert re.search(rf"^##+ {re.escape(module)}$", PAGE, re.MULTILINE)
