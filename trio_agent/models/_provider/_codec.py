"""What a codec is: one provider's language, both ways, without I/O."""

from typing import Any, Protocol

from .._parts import ModelFinish, ModelPart, ModelRequest


class Decoder(Protocol):
    """Turns the bytes of one answer into parts.

    It is fed the reads of the response and then its end, or the whole body. That never raises:
    what went wrong is kept until every part before it was handed out, sets `done`, and is raised
    by `finish`. So the parts don't depend on how reads cut the stream. What goes wrong behind a
    complete answer is passed over.
    """

    @property
    def done(self) -> bool:
        """Nothing more is expected: the provider said so, or can't be understood."""

    @property
    def started(self) -> bool:
        """Whether a part was handed out. Afterwards no failure is retryable."""

    @property
    def complete(self) -> bool:
        """Whether the model said why it finished, so that only the usage may be missing."""

    @property
    def goes_on(self) -> bool:
        """Whether the provider went on behind a reason to finish, so that this says nothing."""

    def feed(self, data: bytes) -> list[ModelPart]:
        """Take the next bytes of the response and return the parts that they complete."""

    def feed_eof(self) -> list[ModelPart]:
        """Take the end of the response, however it came, and return what is left."""

    def feed_whole(self, body: bytes) -> list[ModelPart]:
        """Take the whole body of a response that is JSON, although a stream was asked for."""

    def may_go_on(self, body: bytes | bytearray) -> bool:
        """Whether behind this first JSON value of a body that is no event stream more may come."""

    def finish(self) -> ModelFinish:
        """Say how the answer ended, once it is `done` or its stream has ended.

        Raises:
            ModelError: it ended before it was complete, can't be understood, or the provider
                reported an error within it.
        """

    def resume(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """Return the body of the request that goes on with a paused answer; None if it isn't.

        Then the decoder is ready for the response to that, as if it were the same answer's.

        Args:
            body: of the request that was answered.
        """


class Codec(Protocol):
    """Writes requests and makes the decoders of their answers."""

    def encode(self, request: ModelRequest) -> dict[str, Any]:
        """Return the JSON body of one streamed call.

        Raises:
            ModelError: `bad-request`: the provider's language has no word for something.
        """

    def decoder(self, secret: str, request: ModelRequest) -> Decoder:
        """Make what decodes the answer to a request.

        Args:
            secret: the API key. A provider's message that repeats it is passed on without it.
            request: what is asked, as it was encoded.
        """
