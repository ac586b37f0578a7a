"""What `reference.md` needs of Sphinx: public names, annotations as they are written, prose."""

import __future__

import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType, UnionType
from typing import Any, Literal, get_origin

import attrs
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.inspect import TypeAliasForwardRef
from sphinx.util.typing import restify, stringify_annotation

PUBLIC_MODULES = (
    "trio_agent",
    "trio_agent.abc",
    "trio_agent.wire",
    "trio_agent.client",
    "trio_agent.local",
    "trio_agent.testing",
    "trio_agent.testing.openai",
    "trio_agent.testing.anthropic",
    "trio_agent.testing.openai_responses",
    "trio_agent.servers",
)

_CONTEXT = re.compile(
    r"~?[\w.]*(?:AsyncIterator|AsyncGenerator|AbstractAsyncContextManager)\[(.*)\]"
)
_DEFAULT = re.compile(r"attr_dict\['(\w+)'\]\.default")
_EMPTY = re.compile(r"(Mapping\[[^=]*\]) = NOTHING")
_AS = re.compile(r"( *)Raises:\n +As (.*)\.")


class _LazyLoader(SourceFileLoader):
    """Loads a module whose annotations are kept as text, so that type aliases have names."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        flags = __future__.annotations.compiler_flag
        code: CodeType = compile(self.get_data(path), path, "exec", flags, dont_inherit=True)
        return code


class _LazyFinder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != "trio_agent":
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        found = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _LazyLoader(spec.loader.name, spec.loader.path)
        return spec


def _public() -> Iterator[tuple[str, Any]]:
    """Yield the full names of all that is public, and what they mean."""
    for module in PUBLIC_MODULES:
        for name, value in vars(importlib.import_module(module)).items():
            if not (name.startswith("_") or isinstance(value, ModuleType)):
                yield f"{module}.{name}", value


class Names:
    """What is public under which name, though it is defined elsewhere."""

    def __init__(self) -> None:
        self._full: dict[str, str] = {}
        """By the last part. Of several the first one counts, and is shown on the page."""
        self._by_place: dict[str, str] = {}
        """By the module and name of the definition."""
        self._docs: dict[str, list[str]] = {}
        """The strings below type aliases and constants; objects don't have them."""
        for full, value in _public():
            self._full.setdefault(full.rpartition(".")[2], full)
            if inspect.isclass(value) or inspect.isfunction(value):
                self._by_place.setdefault(f"{value.__module__}.{value.__qualname__}", full)
        for module in [name for name in sys.modules if name.partition(".")[0] == "trio_agent"]:
            attributes = ModuleAnalyzer.for_module(module).find_attr_docs()
            for (scope, name), lines in attributes.items():
                if not scope and name in self._full:
                    self._docs[name] = lines

    def aliases(self) -> dict[str, str]:
        """What to show in the place of a type alias: its name."""
        return {name: name for name in self._docs}

    def literals(self) -> dict[str, str]:
        """The names of what some annotations show at length."""
        return {
            stringify_annotation(value, "smart"): full.rpartition(".")[2]
            for full, value in _public()
            if get_origin(value) is Literal
        }

    def docs(self, full: str) -> list[str]:
        """Return the string below an alias or constant."""
        return list(self._docs.get(full.rpartition(".")[2], ()))

    def public(self, name: str) -> str | None:
        """Return the public name of what a name in a docstring or annotation means."""
        if name in self._by_place:
            return self._by_place[name]
        first, dot, rest = name.partition(".")
        if first not in self._full or first.islower():
            # Many a field has the name of a function elsewhere.
            return None
        return self._full[first] + dot + rest


def _mark_contexts() -> None:
    """Tell sphinxcontrib-trio what is used as ``async with``."""
    for _, value in _public():
        for function in vars(value).values() if inspect.isclass(value) else [value]:
            if inspect.isfunction(function):
                returned = str(function.__annotations__.get("return"))
                if returned.startswith("AbstractAsyncContextManager"):
                    function.__returns_acontextmanager__ = True  # type: ignore[attr-defined]


def _default(cls: Any, field: str) -> str:
    """Show the default of an attrs class's field."""
    value = attrs.fields_dict(cls)[field].default
    if inspect.isfunction(value):
        return value.__name__
    if type(value).__module__.startswith("trio_agent"):
        return f"{type(value).__name__}()"  # one with all defaults
    return "..." if isinstance(value, frozenset) else repr(value)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    sys.meta_path.insert(0, _LazyFinder())
    names = Names()
    literals = names.literals()
    _mark_contexts()
    app.config.autodoc_type_aliases |= {**names.aliases(), "ASGIApp": "ASGIApp"}
    # Within a union, Sphinx shows what this says.
    TypeAliasForwardRef.__repr__ = lambda alias: alias.name  # type: ignore[method-assign]

    def process_signature(
        _app: object,
        _what: str,
        _qualname: str,
        value: Any,
        _options: object,
        signature: str | None,
        returned: str | None,
    ) -> tuple[str | None, str | None]:
        if signature:
            signature = _DEFAULT.sub(lambda match: _default(value, match[1]), signature)
            signature = _EMPTY.sub(r"\1 = {}", signature).replace("= NOTHING", "= ...")
            signature = signature.replace("= lambda: None", "= ...")
            for text, name in literals.items():
                signature = signature.replace(text, name)
        if returned and (context := _CONTEXT.fullmatch(returned)):
            returned = context[1]
        return signature, returned

    def process_docstring(
        _app: object, what: str, name: str, value: object, _options: object, lines: list[str]
    ) -> None:
        if what == "data" and (docs := names.docs(name)):
            lines[:] = docs
            if isinstance(value, UnionType):  # as autodoc does for other aliases
                lines += ["", f"alias of {restify(value, 'smart')}"]
        if what in ("attribute", "data", "property"):
            # Napoleon takes what stands before a colon in the first line for a type.
            lines.insert(0, "\\ ")
        lines[:] = _AS.sub(r"\1Raises what \2 raises.", "\n".join(lines)).split("\n")

    def find_reference(
        app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
    ) -> nodes.Element | None:
        if node.get("refdomain") != "py" or (full := names.public(node["reftarget"])) is None:
            return None
        return env.domains.python_domain.resolve_xref(
            env, node["refdoc"], app.builder, "obj", full, node, content
        )

    app.connect("autodoc-process-signature", process_signature)
    app.connect("autodoc-process-docstring", process_docstring, priority=400)  # before Napoleon
    app.connect("missing-reference", find_reference)
    return {"parallel_read_safe": True}
