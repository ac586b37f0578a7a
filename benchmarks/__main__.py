"""Run all benchmarks; it takes about five minutes."""

import trio

from benchmarks import codec, durable, fan_out, http_stream, websocket

codec.main()
trio.run(fan_out.main)
trio.run(http_stream.main)
trio.run(durable.main)
trio.run(websocket.main)
