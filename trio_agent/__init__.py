"""Streaming agents for Trio.

Agent runs live in nurseries, publish typed events into a resumable log, and are cancelled with a
receipt. What you implement yourself is in `trio_agent.abc`, codecs without I/O in
`trio_agent.wire`, what you test with in `trio_agent.testing`.
"""

# To read the source: `_run/machine` says what happens in a run, `_run/performer` does it, `_log`
# keeps it and shows it to others, `_runtime` is where runs live. CONTRIBUTING.md maps the rest.

from ._agent import Agent as Agent
from ._errors import (
    AnswerRefused as AnswerRefused,
    CursorExpired as CursorExpired,
    CursorInvalid as CursorInvalid,
    FenceLost as FenceLost,
    KeyReused as KeyReused,
    LimitExceeded as LimitExceeded,
    LogDamaged as LogDamaged,
    ModelError as ModelError,
    RunFailed as RunFailed,
    RunIncomplete as RunIncomplete,
    RunOver as RunOver,
    StoreUnavailable as StoreUnavailable,
    TextRetracted as TextRetracted,
    ThreadBusy as ThreadBusy,
    ThreadMoved as ThreadMoved,
    TooLarge as TooLarge,
    ToolError as ToolError,
    ToolSourceError as ToolSourceError,
    TrioAgentError as TrioAgentError,
    UnknownBlob as UnknownBlob,
    UnknownRun as UnknownRun,
    UnknownThread as UnknownThread,
)
from ._events import (
    AnyEvent as AnyEvent,
    ErrorDetail as ErrorDetail,
    Event as Event,
    FinishReason as FinishReason,
    ModelFinished as ModelFinished,
    ModelSwitch as ModelSwitch,
    Nested as Nested,
    OutputDelta as OutputDelta,
    OutputRetry as OutputRetry,
    ReasoningDelta as ReasoningDelta,
    RunContinued as RunContinued,
    RunError as RunError,
    RunFinish as RunFinish,
    RunStart as RunStart,
    RunSummary as RunSummary,
    RunWaiting as RunWaiting,
    StepDiscard as StepDiscard,
    StepFinish as StepFinish,
    StepStart as StepStart,
    TextDelta as TextDelta,
    ToolAnswered as ToolAnswered,
    ToolAsked as ToolAsked,
    ToolCall as ToolCall,
    ToolInputDelta as ToolInputDelta,
    ToolName as ToolName,
    ToolOutcome as ToolOutcome,
    ToolProgress as ToolProgress,
    ToolRequest as ToolRequest,
    ToolResult as ToolResult,
    ToolStatus as ToolStatus,
    Usage as Usage,
    UserSaid as UserSaid,
)
from ._limits import (
    CancelAfter as CancelAfter,
    Limits as Limits,
    OnDisconnect as OnDisconnect,
    Retention as Retention,
    RuntimeLimits as RuntimeLimits,
)
from ._log.cursor import Cursor as Cursor
from ._log.subscription import (
    Subscription as Subscription,
    SubscriptionStatistics as SubscriptionStatistics,
)
from ._messages import (
    AnyMessage as AnyMessage,
    AssistantMessage as AssistantMessage,
    Content as Content,
    File as File,
    Message as Message,
    Prepare as Prepare,
    SystemMessage as SystemMessage,
    Text as Text,
    ToolMessage as ToolMessage,
    UserMessage as UserMessage,
)
from ._output.partial import PartialOutput as PartialOutput
from ._resumable import (
    Checkpoint as Checkpoint,
    ChunkChannel as ChunkChannel,
    ResumableStreamManager as ResumableStreamManager,
    StreamChunk as StreamChunk,
)
from ._run.answering import Answer as Answer, OnWaiting as OnWaiting
from ._run.channels import OutputChannel as OutputChannel, TextChannel as TextChannel
from ._run.listed import ListedRun as ListedRun, RunPage as RunPage
from ._run.message_page import MessagePage as MessagePage
from ._run.result import Result as Result
from ._run.run import (
    Receipt as Receipt,
    Run as Run,
    RunOutcome as RunOutcome,
    RunStatistics as RunStatistics,
    RunStatus as RunStatus,
    current_run as current_run,
)
from ._run.thread_page import (
    PageTurn as PageTurn,
    Thread as Thread,
    ThreadPage as ThreadPage,
    TurnPage as TurnPage,
)
from ._run.transcript import Transcript as Transcript
from ._run.trim import trim_messages as trim_messages
from ._runtime.beside import open_run as open_run
from ._runtime.map import Mapped as Mapped, RunInput as RunInput
from ._runtime.open_runtime import open_runtime as open_runtime
from ._runtime.runtime import (
    Runtime as Runtime,
    RuntimeStatistics as RuntimeStatistics,
)
from .models import (
    AnthropicModel as AnthropicModel,
    FallbackModel as FallbackModel,
    OpenAIModel as OpenAIModel,
    OpenAIResponsesModel as OpenAIResponsesModel,
)
from .stores import (
    MemoryStore as MemoryStore,
    MemoryStoreStatistics as MemoryStoreStatistics,
    SQLiteStore as SQLiteStore,
    SQLiteStoreStatistics as SQLiteStoreStatistics,
    ValkeyStore as ValkeyStore,
)
from .tools import (
    ClientTool as ClientTool,
    FunctionTool as FunctionTool,
    Principal as Principal,
    RunContext as RunContext,
    RunFacts as RunFacts,
    Tool as Tool,
    ToolContext as ToolContext,
    ask_user as ask_user,
    tool as tool,
)
from .wire import format_sse as format_sse

__version__ = "0.1.0"
