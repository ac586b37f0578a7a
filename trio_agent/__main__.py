"""``python -m trio_agent`` is the command `trio-agent`."""

from .servers.cli import main

if __name__ == "__main__":
    main()
