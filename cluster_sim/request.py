"""One request on its way through the cluster: what was asked for, and when which part of it was done."""

from __future__ import annotations


class Request:
    """A prompt to be answered. Times are simulated seconds; one that is NaN has not come yet.

    A plain object with slots, not a dataclass: some are made for every millisecond that is simulated.
    """

    __slots__ = (
        "admitted_s",
        "arrival_s",
        "class_number",
        "counted",
        "finish_clock",
        "finish_s",
        "first_token_s",
        "generated",
        "number",
        "offset",
        "output_piece",
        "output_tokens",
        "pieces",
        "preemptions",
        "prefilled",
        "priority",
        "prompt_tokens",
        "replica",
        "stalled_s",
        "ticket",
    )  # fmt: skip

    # The batch's own notes, written when it admits the request. `offset` and `finish_clock` are relative to the batch's step
    # clock, so that a step changes nothing here: a decoding request has `offset + clock` tokens in the cache.
    prefilled: int
    offset: int
    finish_clock: int
    ticket: int
    stalled_s: float

    def __init__(
        self,
        number: int,
        arrival_s: float,
        prompt_tokens: int,
        output_tokens: int,
        counted: bool = True,
        pieces: tuple[tuple[int, int], ...] = (),
        output_piece: int | None = None,
    ) -> None:
        self.number = number
        """Its place in the order of arrival."""
        self.arrival_s = arrival_s
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        self.counted = counted
        """False for those of the warm-up, which load the cluster but are left out of the statistics."""
        self.pieces = pieces
        """(identity, tokens) of the pieces of its prompt from the front, as far as they are known; an identity stands for that
        content after exactly that prefix."""
        self.output_piece = output_piece
        """The identity of its answer, for a later prompt that begins with this one's pieces and the answer."""
        self.priority = 0
        """Lower is more urgent."""
        self.class_number = 0
        """Its place among the workload's classes."""
        self.replica = -1
        self.admitted_s = self.first_token_s = self.finish_s = NEVER
        self.preemptions = 0
        self.generated = 0

    @property
    def footprint(self) -> int:
        """Tokens that it has in the KV cache at its largest: the last token is answered, never cached."""
        return self.prompt_tokens + self.output_tokens - 1


NEVER = float("nan")
