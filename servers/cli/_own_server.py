"""The program of a server of our own: ``serve``, which ends with the process that started it.

That process holds the other end of its standard input, and whatever ends it closes that.
"""

import os
import signal
import sys
import threading

from ._main import main


def _end_with_parent() -> None:
    # Not through the stream: at the end, Python does not get its lock from a thread that waits.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    main(["serve", *sys.argv[1:]])
