import json
from typing import Annotated, Literal

import trio
from msgspec import Meta

from trio_agent import tool


@tool
async def find_trains(
    start: str,
    end: str,
    seats: Annotated[int, Meta(ge=1, le=8)] = 1,
    travel_class: Literal["first", "second"] = "second",
) -> list[str]:
    """Find the next trains between two stations.

    This paragraph is for people: the model does not read it.

    Args:
        start: Name of the station where the journey begins.
        end: Name of the station where it ends.
        seats: How many people travel.
        travel_class: Where they sit.
    """
    return [f"08:05 from {start} to {end}, {seats} seats in {travel_class} class"]


async def main() -> None:
    print(find_trains.name)
    print(find_trains.description)
    print(json.dumps(find_trains.schema, indent=2))


trio.run(main)
