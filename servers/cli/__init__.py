"""The command `trio-agent`."""

from ._main import main as main
