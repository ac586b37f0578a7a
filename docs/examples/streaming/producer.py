import trio

from trio_agent import ResumableStreamManager

streams = ResumableStreamManager(max_age=300, max_streams=1000)


async def produce(stream_id: str) -> None:
    try:
        for celsius in (-3, -2, -4):
            streams.save_chunk(stream_id, "reading", {"celsius": celsius})
            await trio.sleep(0.01)
    finally:
        streams.complete(stream_id)


async def main() -> None:
    stream_id = streams.create_stream()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce, stream_id)
        async with streams.subscribe(stream_id) as chunks:
            first = await chunks.receive()
            print(first.position, first.type, first.content)
    # The producer is done. Who was cut off goes on behind what it has.
    async with streams.subscribe(stream_id, after=first.position) as chunks:
        async for chunk in chunks:
            print(chunk.position, chunk.type, chunk.content)
    print(streams.checkpoint(stream_id).complete)


trio.run(main)
