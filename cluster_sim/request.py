"""One request on its way through the cluster: what was asked for, and when which part of it was
done.
"""

from __future__ import annotations

from typing import Any


class Request:
    """A prompt to be answered. Times are simulated seconds; one that is NaN has not come yet.

    A plain object with slots, not a dataclass: some are made for every millisecond that is
    simulated.
    """

    __slots__ = (
        "admitted_s",
        "arrival_s",
        "class_number",
        "counted",
        "fetched_tokens",
        "finish_clock",
        "finish_s",
        "first_token_s",
        "generated",
        "holds",
        "landed_s",
        "number",
        "offset",
        "output_piece",
        "output_tokens",
        "pieces",
        "preemptions",
        "prefill_replica",
        "prefilled",
        "prefix_hit_tokens",
        "priority",
        "prompt_tokens",
        "rate",
        "read_s",
        "replica",
        "sending_s",
        "stalled_s",
        "swapped",
        "ticket",
    )  # fmt: skip

    # The batch's own notes, written when it admits the request. `offset` and `finish_clock` are
    # relative to the batch's step
    # clock, so that a step changes nothing here: a decoding request has `offset + clock` tokens in
    # the cache.
    prefilled: int
    offset: int
    rate: int
    finish_clock: int
    ticket: int
    stalled_s: float
    holds: list[Any]

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
        """False for those of the warm-up, which load the cluster but are left out of the
        statistics."""
        self.pieces = pieces
        """(identity, tokens) from the front of the prompt. An identity stands for its content after
        exactly the pieces before it, as a block's hash includes its parent's; what no piece covers
        is like no other prompt."""
        self.output_piece = output_piece
        """The identity of the answer, after a prompt that pieces cover whole, for a later turn that
        begins with both."""
        self.priority = 0
        """Lower is more urgent."""
        self.class_number = 0
        """Its place among the workload's classes."""
        self.prefix_hit_tokens = 0
        """Of the prompt, those that were in the cache or fetched into it when it was first
        admitted."""
        self.fetched_tokens = 0
        """Of them, those that were fetched from a tier."""
        self.replica = -1
        """The one that answers it; of those that are handed over, the one that decodes."""
        self.prefill_replica = -1
        """The one that has read its prompt and handed it over."""
        self.read_s = self.sending_s = self.landed_s = NEVER
        """Of a request that is handed over: its prompt was read, another replica had room for it,
        its KV was there."""
        self.admitted_s = self.first_token_s = self.finish_s = NEVER
        self.preemptions = 0
        self.swapped = 0
        """Blocks of it that lie on the host."""
        self.generated = 0

    @property
    def footprint(self) -> int:
        """Tokens that it has in the KV cache at its largest: the last token is answered, never
        cached.
        """
        return self.prompt_tokens + self.output_tokens - 1


NEVER = float("nan")
