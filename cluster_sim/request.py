"""Request: one request on its way through the cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

NEVER = float("nan")
"""Time of what has not happened."""


@dataclass(slots=True, eq=False)
class Request:
    """A prompt to be answered: what was asked for, and when which part of it was done.

    Times are simulated seconds; one that is NaN has not come yet. Two requests are equal only where
    they are the same object.

    NOTE: it is one flat record, and not one of several, since every step of its life writes it and
    some are made for every millisecond that is simulated.
    """

    number: int
    """Place in the order of arrival."""
    arrival_s: float
    """Time of arrival [s]."""
    prompt_tokens: int
    """Number of tokens of the prompt."""
    output_tokens: int
    """Number of tokens of the answer."""
    counted: bool = True
    """Whether it counts for the statistics; requests of the warm-up only load the cluster."""
    pieces: tuple[tuple[int, int], ...] = ()
    """(identity, tokens) from the front of the prompt. An identity stands for its content after
    exactly the pieces before it, as a block's hash includes its parent's; what no piece covers is
    like no other prompt."""
    output_piece: int | None = None
    """Identity of the answer, after a prompt that pieces cover whole, for a later turn that begins
    with both."""
    priority: int = 0
    """Urgency; lower is more urgent."""
    class_number: int = 0
    """Place among the classes of the workload."""

    # Where it is served

    replica: int = -1
    """Number of the replica that answers it, or decodes it; -1: none yet."""
    prefill_replica: int = -1
    """Number of the replica that prefilled it for another one to decode; -1: none."""

    # What became of it

    admitted_s: float = NEVER
    """Time at which it was first admitted to a batch [s]."""
    first_token_s: float = NEVER
    """Time at which its first token was made [s]."""
    finish_s: float = NEVER
    """Time at which its last token was made [s]."""
    read_s: float = NEVER
    """Time at which it was prefilled for another replica to decode [s]."""
    sending_s: float = NEVER
    """Time at which that replica had space for it [s]."""
    landed_s: float = NEVER
    """Time at which its KV cache was there [s]."""
    prefix_hit_tokens: int = 0
    """Number of tokens of the prompt that were in the KV cache, or fetched into it, when it was
    first admitted."""
    fetched_tokens: int = 0
    """Number of those that were fetched from a tier."""
    preemptions: int = 0
    """Number of times that it was preempted."""
    generated: int = 0
    """Number of tokens that it has been answered, as of when it last began or ceased to decode."""

    # Notes of the scheduler that has it. Steps are those of its clock, so that a step changes
    # nothing here: a decoding request has `offset + clock` tokens in the cache.
    # NOTE: those that are written before they are read begin without a value: 0.15 us per request.

    prefilled: int = 0
    """Number of tokens in the cache of a prompt that is being prefilled."""
    swapped: int = 0
    """Number of its blocks that lie on the host."""
    offset: int = field(init=False)
    """Number of tokens in the cache at step 0 of the clock, in units of the decoding sequences."""
    rate: int = field(init=False)
    """Number of tokens that a step adds, in the same units."""
    finish_clock: int = field(init=False)
    """Step after which it finishes."""
    ticket: int = field(init=False)
    """Number of its entry on the clock; -1: it is on none."""
    stalled_s: float = field(init=False)
    """Time of its last token before a gap [s]."""
    holds: list[Any] = field(init=False)
    """What it uses of each piece in the prefix cache."""

    @property
    def footprint(self) -> int:
        """Number of tokens in the KV cache at its largest: the last token is never cached."""
        return self.prompt_tokens + self.output_tokens - 1

    @property
    def known_tokens(self) -> int:
        """Number of tokens of its prompt and of its answer so far."""
        return self.prompt_tokens + self.generated

    def begin_anew(self, last_token_s: float) -> None:
        """Forget what of it is in a KV cache; keep the tokens of its answer.

        last_token_s: time at which the last of them was made [s].
        """
        self.prefilled, self.stalled_s = 0, last_token_s

    def forget_transfer(self) -> None:
        """Forget where it was prefilled and when its KV moved: that was lost."""
        self.prefill_replica = -1
        self.read_s = self.sending_s = self.landed_s = NEVER
