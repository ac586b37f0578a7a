"""The version, read by the build and by `trio_agent.__version__`."""

__version__ = "0.1.0"
