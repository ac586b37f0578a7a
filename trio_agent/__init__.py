"""Streaming agents for Trio.

Agent runs live in nurseries, publish typed events into a resumable log, and are cancelled with a
receipt. What you implement yourself is in `trio_agent.abc`, codecs without I/O in
`trio_agent.wire`, what you test with in `trio_agent.testing`.
"""

# To read the source: `_machine` says what happens in a run, `_performer` does it, `_feed` and
# `_subscription` show it to others, `_runtime` is where runs live. CONTRIBUTING.md maps the rest.

from ._agent import Agent as Agent, TextChannel as TextChannel
from ._errors import (
    CursorExpired as CursorExpired,
    CursorInvalid as CursorInvalid,
    FenceLost as FenceLost,
    LimitExceeded as LimitExceeded,
    ModelError as ModelError,
    RunFailed as RunFailed,
    RunIncomplete as RunIncomplete,
    StoreUnavailable as StoreUnavailable,
    ToolError as ToolError,
    TrioAgentError as TrioAgentError,
    UnknownRun as UnknownRun,
)
from ._events import (
    AnyEvent as AnyEvent,
    ErrorDetail as ErrorDetail,
    Event as Event,
    FinishReason as FinishReason,
    ReasoningDelta as ReasoningDelta,
    RunError as RunError,
    RunFinish as RunFinish,
    RunStart as RunStart,
    RunSummary as RunSummary,
    StepFinish as StepFinish,
    StepStart as StepStart,
    TextDelta as TextDelta,
    ToolCall as ToolCall,
    ToolInputDelta as ToolInputDelta,
    ToolName as ToolName,
    ToolOutcome as ToolOutcome,
    ToolRequest as ToolRequest,
    ToolResult as ToolResult,
    ToolStatus as ToolStatus,
    Usage as Usage,
)
from ._limits import (
    CancelAfter as CancelAfter,
    Limits as Limits,
    OnDisconnect as OnDisconnect,
    RuntimeLimits as RuntimeLimits,
)
from ._log.cursor import Cursor as Cursor
from ._log.store import Retention as Retention
from ._log.subscription import (
    Subscription as Subscription,
    SubscriptionStatistics as SubscriptionStatistics,
)
from ._messages import (
    AnyMessage as AnyMessage,
    AssistantMessage as AssistantMessage,
    Message as Message,
    SystemMessage as SystemMessage,
    ToolMessage as ToolMessage,
    UserMessage as UserMessage,
)
from ._resumable import (
    Checkpoint as Checkpoint,
    ChunkChannel as ChunkChannel,
    ResumableStreamManager as ResumableStreamManager,
    StreamChunk as StreamChunk,
)
from ._run.machine import Result as Result
from ._run.run import (
    Receipt as Receipt,
    Run as Run,
    RunOutcome as RunOutcome,
    RunStatistics as RunStatistics,
)
from ._runtime.map import Mapped as Mapped
from ._runtime.open_runtime import open_runtime as open_runtime
from ._runtime.runtime import (
    Runtime as Runtime,
    RuntimeStatistics as RuntimeStatistics,
)
from .models.openai._model import OpenAIModel as OpenAIModel
from .stores._memory import (
    MemoryStore as MemoryStore,
    MemoryStoreStatistics as MemoryStoreStatistics,
)
from .stores.sqlite._store import (
    SQLiteStore as SQLiteStore,
    SQLiteStoreStatistics as SQLiteStoreStatistics,
)
from .stores.valkey._store import ValkeyStore as ValkeyStore
from .tools._tool import Tool as Tool, tool as tool
from .wire._sse import format_sse as format_sse
