"""The items of one answer: which of them does an event belong to?

The id tells, or the index, but not every provider counts or keeps its ids: they may be missing, new
in every event, or the same for several items. What no id or index tells goes on with the newest
item of its kind that isn't whole, or begins one, so that deltas may come before their item.
"""

from collections.abc import Callable
from typing import Any

from .._parts import MAX_CALLS
from .._provider._errors import bad_response
from .._provider._loose import arguments_or_none, word
from ._event import Event
from ._item import Item, Kind, call_id_of, id_of, kind_of

_MAX_ITEMS = 1024


class Items(list[Item]):
    """All items that have begun, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self._by_id: dict[tuple[Kind, str], Item] = {}
        self._by_index: dict[tuple[Kind, int], Item] = {}

    @property
    def calls(self) -> list[Item]:
        """The calls among them."""
        return [item for item in self if item.kind == "function_call"]

    def of(self, kind: Kind, event: Event) -> Item:
        """Return the item that a delta belongs to."""
        id_, index = event.item_id or "", event.output_index
        if id_ and (item := self._by_id.get((kind, id_))):
            return item
        if index is None:
            newest = next((each for each in reversed(self) if _is_open(each, kind)), None)
        else:
            newest = self._by_index.get((kind, index))
        # If nothing says that it is another one, it is the same.
        if newest is not None and not (newest.closed and id_):
            return newest
        return self.begin(kind, id_, index)

    def knows(self, kind: Kind, id_: str | None) -> bool:
        """Whether an item of a kind has this id."""
        return (kind, id_) in self._by_id

    def announced(self, value: dict[str, Any], index: int | None) -> Item:
        """Return the item whose begin this is: a new one, unless deltas came before it."""
        kind, id_, call_id = kind_of(value), id_of(value), call_id_of(value)
        item = self._by_id.get((kind, id_)) if id_ else None
        if item is not None and not item.closed:
            same_place = None in (index, item.index) or index == item.index
            if not item.announced or (same_place and item.call_id == call_id):
                return item
        if index is None:
            unannounced = (each for each in self if not each.announced)
            item = next((each for each in unannounced if _is_open(each, kind)), None)
        else:
            item = self._by_index.get((kind, index))
        if item is None or item.announced or item.closed:
            return self.begin(kind, id_, index)
        if id_:
            self._by_id[kind, id_] = item
        return item

    def begin(self, kind: Kind, id_: str, index: int | None) -> Item:
        """Begin an item.

        Raises:
            ModelError: `bad-response`: there are too many.
        """
        if len(self) == _MAX_ITEMS:
            raise bad_response(f"the answer has more than {_MAX_ITEMS} items")
        if kind == "function_call" and len(self.calls) == MAX_CALLS:
            raise bad_response(f"the model called more than {MAX_CALLS} tools at once")
        item = Item(kind, id_.strip(), index)
        self.append(item)
        if item.id:
            self._by_id[kind, item.id] = item
        if index is not None:
            self._by_index[kind, index] = item
        return item

    def is_known(self, value: dict[str, Any]) -> bool:
        """Whether an item is told again as a whole, which calls nothing again."""
        kind, id_, call_id = kind_of(value), id_of(value), call_id_of(value)
        whole = arguments_or_none(value.get("arguments"))
        for item in self:
            if not item.closed or item.kind != kind:
                continue
            if item.value == value:
                return True
            if kind in ("message", "reasoning") and id_ and item.id == id_:
                return True
            if call_id and item.call_id == call_id and item.arguments.text == whole:
                return True
        return False


def match(value: dict[str, Any], candidates: list[Item], index: int | None) -> Item | None:
    """Return the item that came whole, among some of them: that of the first sign that tells."""
    kind, id_ = kind_of(value), id_of(value)
    same = [item for item in candidates if item.kind == kind]
    if kind == "other":
        return next((item for item in same if item.value == value), None)
    call_id, name = call_id_of(value), word(value.get("name"))
    whole = arguments_or_none(value.get("arguments"))

    def may_be(item: Item) -> bool:
        # A call that has an id is seldom that of another id.
        return (not call_id or item.call_id in ("", call_id)) and item.fits(value)

    signs: tuple[Callable[[Item], bool], ...] = (
        lambda item: bool(call_id) and item.call_id == call_id and item.fits(value),
        lambda item: bool(call_id) and item.call_id == call_id and item.name == name,
        lambda item: bool(id_) and item.id == id_ and may_be(item),
        lambda item: index is not None and item.index == index and may_be(item),
        may_be,
        lambda item: bool(whole) and item.name == name and item.arguments.text == whole,
    )
    for sign in signs:
        if (found := next(filter(sign, same), None)) is not None:
            return found
    return same[0] if same and kind != "function_call" else None


def _is_open(item: Item, kind: Kind) -> bool:
    return item.kind == kind and not item.closed
