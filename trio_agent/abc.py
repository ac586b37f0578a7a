"""What you implement: models, stores, tools, where tools come from, and instruments."""

from ._file_lock import lock_file as lock_file
from ._instrument.contract import Instrument as Instrument
from ._instrument.facts import (
    ModelEnd as ModelEnd,
    ModelFacts as ModelFacts,
    ModelRetried as ModelRetried,
    ModelSwitched as ModelSwitched,
    RunEnd as RunEnd,
    StepEnd as StepEnd,
    StepFacts as StepFacts,
    ToolEnd as ToolEnd,
    ToolFacts as ToolFacts,
)
from ._limits import LIMIT_NAMES as LIMIT_NAMES, Retention as Retention
from ._log.inbox import (
    Delivered as Delivered,
    Delivery as Delivery,
    check_inbox as check_inbox,
    first_deliveries as first_deliveries,
)
from ._log.log import (
    Append as Append,
    Appended as Appended,
    Entry as Entry,
    first_page as first_page,
)
from ._log.run_info import RunInfo as RunInfo, RunRecord as RunRecord, first_runs as first_runs
from ._log.store import (
    PAGE_BYTES as PAGE_BYTES,
    Created as Created,
    Lease as Lease,
    Page as Page,
    Store as Store,
    Watch as Watch,
    first_privates as first_privates,
)
from ._log.surplus import Idle as Idle, surplus as surplus
from ._log.thread import (
    ThreadCursor as ThreadCursor,
    ThreadInfo as ThreadInfo,
    Turn as Turn,
    first_turns as first_turns,
)
from ._nursery import open_plain_nursery as open_plain_nursery
from .models._model import Emit as Emit, Model as Model
from .models._parts import (
    EmittedPart as EmittedPart,
    ModelFinish as ModelFinish,
    ModelPart as ModelPart,
    ModelRequest as ModelRequest,
    OutputPart as OutputPart,
    OutputSpec as OutputSpec,
    ReasoningPart as ReasoningPart,
    SwitchPart as SwitchPart,
    TextPart as TextPart,
    ToolInputPart as ToolInputPart,
    ToolSpec as ToolSpec,
)
from .stores._watch import NewsWatch as NewsWatch
from .tools._contract import Tool as Tool
from .tools._source import OpenTools as OpenTools, ToolSource as ToolSource
