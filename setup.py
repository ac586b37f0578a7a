"""The packages come from the tree: `servers/` is packaged as `trio_agent.servers`."""

from setuptools import find_namespace_packages, setup

CORE = find_namespace_packages(include=["trio_agent", "trio_agent.*"])
SERVERS = find_namespace_packages(include=["servers", "servers.*"])

setup(packages=[*CORE, *(f"trio_agent.{name}" for name in SERVERS)])
