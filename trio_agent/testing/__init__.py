"""What you test agents, models and stores with."""

from ._scripted_model import Line, ScriptedModel, call

__all__ = ["Line", "ScriptedModel", "call"]
