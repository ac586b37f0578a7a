"""What you implement: models and stores."""

from ._log.log import Append as Append, Appended as Appended, Entry as Entry
from ._log.store import (
    Created as Created,
    Lease as Lease,
    Page as Page,
    Retention as Retention,
    RunInfo as RunInfo,
    RunRecord as RunRecord,
    Store as Store,
    Watch as Watch,
)
from .models._model import Emit as Emit, Model as Model
from .models._parts import (
    ModelFinish as ModelFinish,
    ModelPart as ModelPart,
    ModelRequest as ModelRequest,
    ReasoningPart as ReasoningPart,
    TextPart as TextPart,
    ToolInputPart as ToolInputPart,
    ToolSpec as ToolSpec,
)
