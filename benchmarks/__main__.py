"""Run all benchmarks; it takes about four minutes."""

import trio

from benchmarks import codec, durable, fan_out, http_stream

codec.main()
trio.run(fan_out.main)
trio.run(http_stream.main)
trio.run(durable.main)
