"""Whose account pays, as OpenAI's APIs are told."""

from collections.abc import Mapping

import attrs

from ._endpoint import check_header
from ._model import ProviderModel


@attrs.frozen(eq=False)
class OpenAIAccountModel(ProviderModel):
    """What the models of OpenAI's APIs take beside what all take.

    Args:
        organization: sent as `OpenAI-Organization`.
        project: sent as `OpenAI-Project`.
    """

    organization: str | None = attrs.field(default=None, kw_only=True, validator=check_header)
    project: str | None = attrs.field(default=None, kw_only=True, validator=check_header)

    def _own_headers(self) -> Mapping[str, str]:
        named = {"OpenAI-Organization": self.organization, "OpenAI-Project": self.project}
        return {name: value for name, value in named.items() if value is not None}
