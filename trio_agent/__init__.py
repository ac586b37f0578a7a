"""Streaming agents for Trio.

Agent runs live in nurseries, publish typed events into a resumable log, and are cancelled with a
receipt. What you implement yourself is in `trio_agent.abc`, codecs without I/O in
`trio_agent.wire`, what you test with in `trio_agent.testing`.
"""

# To read the source: `_machine` says what happens in a run, `_performer` does it, `_feed` and
# `_subscription` show it to others, `_runtime` is where runs live. CONTRIBUTING.md maps the rest.

from ._agent import Agent as Agent, TextChannel as TextChannel
from ._cursor import Cursor as Cursor
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
from ._machine import Result as Result
from ._map import Mapped as Mapped
from ._memory import MemoryStore as MemoryStore, MemoryStoreStatistics as MemoryStoreStatistics
from ._messages import (
    AnyMessage as AnyMessage,
    AssistantMessage as AssistantMessage,
    Message as Message,
    SystemMessage as SystemMessage,
    ToolMessage as ToolMessage,
    UserMessage as UserMessage,
)
from ._open_runtime import open_runtime as open_runtime
from ._openai_model import OpenAIModel as OpenAIModel
from ._resumable import (
    Checkpoint as Checkpoint,
    ChunkChannel as ChunkChannel,
    ResumableStreamManager as ResumableStreamManager,
    StreamChunk as StreamChunk,
)
from ._run import (
    Receipt as Receipt,
    Run as Run,
    RunOutcome as RunOutcome,
    RunStatistics as RunStatistics,
)
from ._runtime import (
    Runtime as Runtime,
    RuntimeStatistics as RuntimeStatistics,
)
from ._sqlite import SQLiteStore as SQLiteStore, SQLiteStoreStatistics as SQLiteStoreStatistics
from ._sse import format_sse as format_sse
from ._store import Retention as Retention
from ._subscription import (
    Subscription as Subscription,
    SubscriptionStatistics as SubscriptionStatistics,
)
from ._tool import Tool as Tool, tool as tool
from ._valkey import ValkeyStore as ValkeyStore
