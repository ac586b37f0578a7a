"""The command `trio-agent`."""
