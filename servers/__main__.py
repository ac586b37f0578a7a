"""``python -m trio_agent.servers`` is the command `trio-agent`."""

from .cli import main

if __name__ == "__main__":
    main()
