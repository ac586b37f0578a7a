import trio

from trio_agent import ResumableStreamManager


async def main() -> None:
    streams = ResumableStreamManager(max_age=5 * 60, max_streams=1000)
    stream_id = streams.create_stream()
    streams.save_chunk(stream_id, "text", "Hello")
    checkpoint = streams.checkpoint(stream_id)
    streams.save_chunk(stream_id, "text", " world!")

    for chunk in streams.chunks_since(stream_id, checkpoint.position):
        print(f"missed: {chunk.content!r} at {chunk.position}")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow, streams, stream_id)
        await trio.lowlevel.checkpoint()
        streams.save_chunk(stream_id, "text", " Bye.")
        streams.complete(stream_id)


async def follow(streams: ResumableStreamManager, stream_id: str) -> None:
    async with streams.subscribe(stream_id) as chunks:
        async for chunk in chunks:
            print(chunk.position, repr(chunk.content))


trio.run(main)
