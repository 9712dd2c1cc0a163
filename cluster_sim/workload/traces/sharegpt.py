"""Reader of ShareGPT's conversations: texts without times and without numbers of tokens.

A question of a human and the following answer of gpt are a request, which extends the history of
its conversation. Source: the file ShareGPT_V3_unfiltered_cleaned_split.json, as ShareGPTDataset of
vllm/benchmarks/datasets.py reads it. The keys `messages`, `role` and `content` of OpenAI's chats are
accepted too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np

from cluster_sim.workload.traces.json_rows import KeyedRow, KeyedRows, keyed_batches
from cluster_sim.workload.traces.rows import NONE, Batch, Links, batch_of_columns
from cluster_sim.workload.traces.source import Beginning, TraceSource

_EXPECTED = '{"conversations": [{"from": "human", "value": text}, {"from": "gpt", "value": text}]}'
_USERS = ("human", "user")
_MODELS = ("gpt", "assistant", "chatgpt", "bing", "bard", "model")
_SPELLINGS = (("conversations", "from", "value"), ("messages", "role", "content"))
"""Keys of the list of messages, of the speaker, and of the text."""


def is_sharegpt(begun: Beginning) -> bool:
    """Return whether a file has ShareGPT's conversations."""
    return begun.kind == "json" and any(
        begun.has(spelling[0]) and isinstance(begun.first[spelling[0]], list)
        for spelling in _SPELLINGS
    )


@dataclass
class _LeftOver:
    """Counts of messages that are not part of a question with an answer."""

    unanswered: int = 0
    """Number of messages of users without a following answer."""
    unasked: int = 0
    """Number of answers without a preceding question."""
    silent: int = 0
    """Number of conversations without an answered question."""

    def note(self, source: TraceSource) -> None:
        """Add a note for each count above zero."""
        for number, what in (
            (self.unanswered, "messages of users without an answer are omitted"),
            (self.unasked, "answers without a question are omitted"),
            (self.silent, "conversations without an answered question are omitted"),
        ):
            if number:
                source.tally.note(f"{number:,} {what}")


def sharegpt_batches(source: TraceSource) -> Iterator[Batch]:
    """Yield the requests in the order of the file, linked by conversation.

    A first turn has time 0; a later turn starts when the previous answer ends. Raises ScenarioError
    with the line of a conversation that is malformed.
    """
    tokens_of = source.tokens_of
    assert tokens_of is not None
    left_over, speakers = _LeftOver(), dict[str, None]()

    def batch_of(keyed: KeyedRows) -> Batch:
        # Counts are added only after all conversations were read: after a fault they are read again.
        lines, prompts, outputs, times_s, delays_s = [], [], [], [], []
        counts = _LeftOver()
        for line, row in zip(keyed.lines.tolist(), keyed.rows, strict=True):
            for turn, (prompt, answer) in enumerate(_pairs(row, counts, speakers)):
                lines.append(line)
                prompts.append(tokens_of(prompt))
                outputs.append(tokens_of(answer))
                times_s.append(nan if turn else 0.0)
                delays_s.append(0.0 if turn else nan)
        left_over.unanswered += counts.unanswered
        left_over.unasked += counts.unasked
        left_over.silent += counts.silent
        if not lines:
            return NONE
        session = np.array(lines)
        links = Links(session, np.full(len(lines), nan), np.array(delays_s), adds=True)
        return batch_of_columns(
            np.array(times_s), np.array(prompts), np.array(outputs), None, session, links
        )

    yield from keyed_batches(source.path, source.place, batch_of, _EXPECTED)
    left_over.note(source)
    if speakers:
        source.tally.note(f"messages from {', '.join(speakers)} are not used")


def _pairs(
    row: KeyedRow, counts: _LeftOver, speakers: dict[str, None]
) -> Iterator[tuple[str, str]]:
    """Yield each question with its answer; a system message is put before the first question.

    Raises one of MALFORMED if the row is not a conversation.
    """
    key, who, what = next((each for each in _SPELLINGS if each[0] in row), _SPELLINGS[0])
    system, question = "", None
    pairs = 0
    for message in row[key]:
        speaker, text = message[who], _text(message[what])
        if speaker == "system":
            system = f"{system} {text}".strip()
        elif speaker in _USERS:
            counts.unanswered += question is not None
            question = text
        elif speaker not in _MODELS:
            speakers[str(speaker)] = None
        elif question is None:
            counts.unasked += 1
        else:
            yield f"{system} {question}".strip(), text
            system, question = "", None
            pairs += 1
    counts.unanswered += question is not None
    counts.silent += not pairs


def _text(content: Any) -> str:
    """Return the text of a message, which may consist of parts.

    Raises one of MALFORMED if the content is not text.
    """
    if content is None:
        return ""
    if isinstance(content, list):
        return " ".join(part["text"] for part in content if part.get("type", "text") == "text")
    if not isinstance(content, str):
        raise TypeError
    return content
