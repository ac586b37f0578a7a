"""Which tools of a server are offered, under which prefix, and what holds for their calls.

Tools are named as the server calls them. A name that can't be meant is told where it is declared:
one that is forgotten in `approval` would let calls through.
"""

from collections.abc import Collection
from typing import Any, Final, TypeAlias

import attrs

from ._names import name_tools

_MAX_PREFIX: Final = 32

Chosen: TypeAlias = bool | frozenset[str]
"""All tools of a server, none, or those with these names."""


def is_chosen(chosen: Chosen, tool: str) -> bool:
    """Whether a tool is one of these."""
    return chosen if isinstance(chosen, bool) else tool in chosen


def _to_chosen(names: bool | Collection[str]) -> Chosen:
    if isinstance(names, bool):
        return names
    if isinstance(names, str) or not isinstance(names, Collection):
        raise TypeError(
            f"only=, approval= and retry_safe= take a list of names of tools, not {names!r}"
        )
    return frozenset(names)


@attrs.frozen(kw_only=True)
class Offer:
    """What is declared about the tools of a server.

    Raises:
        TypeError: one name stands where a list of them belongs.
        ValueError: the prefix can't be one, or what is not offered has to be allowed or is safe.
    """

    prefix: str | None = attrs.field(default=None)
    only: Chosen = attrs.field(default=True, converter=_to_chosen)
    approval: Chosen = attrs.field(default=False, converter=_to_chosen)
    retry_safe: Chosen = attrs.field(default=False, converter=_to_chosen)

    @prefix.validator
    def _check_prefix(self, _: object, prefix: str | None) -> None:
        if prefix is None:
            return
        if name_tools(None, [prefix])[prefix] != prefix:
            raise ValueError("a prefix is made of letters, digits, '_' and '-'")
        if len(prefix) > _MAX_PREFIX:
            raise ValueError(f"a prefix has at most {_MAX_PREFIX} characters")

    @approval.validator
    @retry_safe.validator
    def _check_names(self, attribute: "attrs.Attribute[Any]", chosen: Chosen) -> None:
        if isinstance(chosen, bool) or isinstance(self.only, bool):
            return
        if unknown := sorted(chosen - self.only):
            raise ValueError(f"{attribute.name}= names what only= leaves out: {', '.join(unknown)}")

    @property
    def names(self) -> frozenset[str]:
        """All tools that are named in it."""
        chosen = (self.only, self.approval, self.retry_safe)
        return frozenset[str]().union(*(each for each in chosen if not isinstance(each, bool)))

    def declared(self) -> list[Any]:
        """What a continuation of a run must find unchanged: JSON."""
        said: list[Any] = [self.prefix, None if self.only is True else _sorted(self.only)]
        return said if self.approval is False else [*said, _sorted(self.approval)]


def _sorted(chosen: Chosen) -> bool | list[str]:
    return chosen if isinstance(chosen, bool) else sorted(chosen)
