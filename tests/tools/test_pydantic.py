"""Pydantic models as arguments and outputs, through the tools that have them."""

import dataclasses
import datetime
import subprocess
import sys
from decimal import Decimal
from typing import Annotated, Any, Literal, NotRequired, Optional

import attrs
import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import TypedDict

from trio_agent._errors import ToolError
from trio_agent.tools._output import encode_output
from trio_agent.tools._pydantic import adapted
from trio_agent.tools._tool import tool


class Place(BaseModel):
    """Where."""

    city: str
    since: datetime.date | None = None


class Trip(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    start: Place
    stops: list[Place] = Field(default=[], max_length=2)
    price: Decimal = Decimal(1)


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Pet(RootModel[Annotated[Cat | Dog, Field(discriminator="kind")]]):
    pass


class Node(BaseModel):
    children: "list[Node]" = []


@attrs.frozen
class Booking:
    trip: Trip


OSLO = Place(city="Oslo", since=datetime.date(1048, 1, 1))
OSLO_JSON = {"city": "Oslo", "since": "1048-01-01"}


@pytest.mark.parametrize(
    ("value", "output"),
    [
        (OSLO, OSLO_JSON),
        ([OSLO], [OSLO_JSON]),
        ({"a": (OSLO, 1)}, {"a": [OSLO_JSON, 1]}),
        (
            Booking(Trip(start=OSLO, price=Decimal("1.10"))),
            {"trip": {"start": OSLO_JSON, "stops": [], "price": "1.10"}},
        ),
        (Pet(Cat(kind="cat")), {"kind": "cat"}),
    ],
)
def test_outputs(value: Any, output: Any) -> None:
    assert encode_output(value) == output


def test_an_output_that_cannot_be_dumped() -> None:
    class Odd(BaseModel):
        value: Any

    with pytest.raises(ToolError, match="the tool returned a Odd that has no JSON form"):
        encode_output(Odd(value=object()))
    with pytest.raises(ToolError, match="Encoding objects of type ModelMetaclass is unsupp"):
        encode_output(Place)


def book(trip: Trip, pets: list[Pet] = [], at: Place | None = None) -> None:  # noqa: B006
    """Book."""


def test_the_schema_of_arguments_has_no_references() -> None:
    schema = tool(book).schema
    assert "$" not in repr(schema)
    place = schema["properties"]["trip"]["properties"]["start"]
    assert (place["description"], place["required"]) == ("Where.", ["city"])
    stops = schema["properties"]["trip"]["properties"]["stops"]
    assert stops["items"] == place
    assert stops["maxItems"] == 2
    options = schema["properties"]["pets"]["items"]["oneOf"]
    assert [option["properties"]["kind"]["const"] for option in options] == ["cat", "dog"]
    assert schema["required"] == ["trip"]


def test_arguments_become_models() -> None:
    """Strict ones, too: what JSON can't say is said in JSON's way."""
    arguments = {"trip": {"start": OSLO_JSON}, "pets": [{"kind": "dog"}], "at": {"city": "Rome"}}
    assert tool(book).parse(arguments) == {
        "trip": Trip(start=OSLO),
        "pets": [Pet(Dog(kind="dog"))],
        "at": Place(city="Rome"),
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"trip": {"start": {"city": 1}, "x": 1}},
            (
                r"start.city: Input should be a valid string; x: Extra inputs are not permitted"
                r" - at `\$.trip`; expected fields: trip, pets \(optional\), at \(optional\)$"
            ),
        ),
        ({"trip": "x"}, r"it: Input should be an object - at `\$.trip`"),
        ({"trip": {"start": {"city": "\ud800"}}}, r"surrogates not allowed"),
    ],
)
def test_what_is_to_correct(arguments: Any, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        tool(book).parse(arguments)


def test_a_model_that_contains_itself() -> None:
    def walk(node: Node) -> None: ...

    with pytest.raises(TypeError, match="tool 'walk': parameter 'node': Node contains itself"):
        tool(walk)


def test_a_default_is_shown() -> None:
    def find(place: Place = OSLO) -> None: ...

    assert tool(find).schema["properties"]["place"]["default"] == OSLO_JSON


def test_pydantic_is_not_imported() -> None:
    code = "import sys, trio_agent; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# What only pydantic can tell apart


class Named(BaseModel):
    name: str = Field(alias="fullName")

    @field_validator("name")
    @classmethod
    def known(cls, name: str) -> str:
        if name == "X":
            raise ValueError("nobody is called X")
        return name


@pydantic_dataclass
class Party:
    size: int = Field(gt=1)


@dataclasses.dataclass
class Stay:
    guest: Named
    places: list[Place]


class Search(TypedDict):
    near: NotRequired[Place]


NAMED = Named(fullName="Ann")


def chosen(annotation: Any) -> Any:
    def choose(it: Any) -> None: ...

    choose.__annotations__["it"] = annotation
    return tool(choose)


@pytest.mark.parametrize(
    ("annotation", "value", "parsed"),
    [
        (Named, {"fullName": "Ann"}, NAMED),
        (Named | Place, {"city": "Oslo"}, Place(city="Oslo")),
        (Named | Place, {"fullName": "Ann"}, NAMED),
        (Named | str, "Ann", "Ann"),
        (Optional[Named | int], None, None),  # noqa: UP045 - it is another class
        (list[Named | Place], [{"fullName": "Ann"}, {"city": "Oslo"}], [NAMED, Place(city="Oslo")]),
        (dict[str, Named | None], {"a": {"fullName": "Ann"}, "b": None}, {"a": NAMED, "b": None}),
        (list[Party] | None, [{"size": 2}], [Party(2)]),
        (Annotated[Named | Place, "note"], {"city": "Oslo"}, Place(city="Oslo")),
        (Annotated[Cat | Dog, Field(discriminator="kind")], {"kind": "dog"}, Dog(kind="dog")),
        (Party, {"size": 2.0}, Party(2)),
        (Stay, {"guest": {"fullName": "Ann"}, "places": []}, Stay(NAMED, [])),
        (Search, {"near": {"city": "Oslo"}}, {"near": Place(city="Oslo")}),
        (tuple[Named | Place, int], [{"city": "Oslo"}, 1], (Place(city="Oslo"), 1)),
    ],
)
def test_types_with_models_in_them(annotation: Any, value: Any, parsed: Any) -> None:
    made = chosen(annotation)
    assert "$" not in repr(made.schema)
    assert made.parse({"it": value}) == {"it": parsed}


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (Named, {"name": "Ann"}, r"^fullName: Field required - at `\$.it`"),
        (Named, {"fullName": "X"}, r"^fullName: Value error, nobody is called X - at `\$.it`"),
        (
            Stay,
            {"guest": {"fullName": "X"}, "places": []},
            r"nobody is called X - at `\$.it.guest`",
        ),
        (Named | Place, {}, r"^Named.fullName: Field required; Place.city: Field required"),
        (Party, {"size": 1}, r"^size: Input should be greater than 1"),
        (list[Party], [{"size": 1}], r"^size: Input should be greater than 1 - at `\$.it\[0\]`"),
    ],
)
def test_what_is_to_correct_in_them(annotation: Any, value: Any, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        chosen(annotation).parse({"it": value})


def test_outputs_have_the_names_that_the_schema_has() -> None:
    assert encode_output([NAMED]) == [{"fullName": "Ann"}]
    assert encode_output(Stay(NAMED, [])) == {"guest": {"fullName": "Ann"}, "places": []}
    assert encode_output(Party(2)) == {"size": 2}


def test_what_is_not_pydantics_stays_as_it_is() -> None:
    for annotation in (int | str, list[int] | None, Stay | None, Literal["a"], dict[str, Any]):
        assert adapted(annotation) is annotation
