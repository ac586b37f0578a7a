"""Run all benchmarks; it takes about two minutes."""

import trio

from benchmarks import codec, fan_out, http_stream

codec.main()
trio.run(fan_out.main)
trio.run(http_stream.main)
