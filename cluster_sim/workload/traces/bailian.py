"""Reader of usage traces of Bailian (Alibaba's Qwen service): JSON lines with chat links.

The keys are those of Mooncake, but times are seconds and blocks have 16 tokens. The prompt of a turn
contains the whole conversation. Source: alibaba-edu/qwen-bailian-usagetraces-anon, README, and
AIPerf's tutorial "Profile with Bailian traces".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from cluster_sim.errors import shown
from cluster_sim.workload.traces.json_rows import KeyedRow, KeyedRows, keyed_batches
from cluster_sim.workload.traces.mooncake import MooncakeColumns, note_conversations, refuse_gaps
from cluster_sim.workload.traces.progress import Tally
from cluster_sim.workload.traces.rows import Batch, Links, numbers
from cluster_sim.workload.traces.session_numbers import is_name
from cluster_sim.workload.traces.sort_commands import way_to_sort
from cluster_sim.workload.traces.source import Beginning, TraceSource
from cluster_sim.workload.traces.stamps import Stamps

BLOCK_TOKENS = 16
"""Length of a block in the published traces [tokens]."""
_MOONCAKE_BLOCK_TOKENS = 512
_ROOT = -1
"""Parent chat of a first turn."""
_KEYS = (
    "chat_id",
    "parent_chat_id",
    "turn",
    "timestamp",
    "input_length",
    "output_length",
    "hash_ids",
)
_EXPECTED = '{"chat_id": number, "parent_chat_id": number or -1, "timestamp": s, "input_length": tokens, "output_length": tokens, "hash_ids": [numbers]}'


def is_bailian(begun: Beginning) -> bool:
    """Return whether a file has Bailian's chat links, or its blocks of 16 tokens."""
    if not begun.has("timestamp", "input_length", "output_length"):
        return False
    return begun.has("chat_id") or _has_small_blocks(begun.first)


def _has_small_blocks(row: Any) -> bool:
    """Return whether the blocks of a row cover its prompt with 16 tokens each, and not with 512."""
    if not isinstance(row, dict) or not isinstance(row.get("hash_ids"), list):
        return False
    prompt, blocks = row["input_length"], len(row["hash_ids"])
    return (
        type(prompt) is int
        and blocks == -(-prompt // BLOCK_TOKENS)
        and blocks != -(-prompt // _MOONCAKE_BLOCK_TOKENS)
    )


def bailian_batches(source: TraceSource) -> Iterator[Batch]:
    """Yield the rows in the order of the file, linked by chat.

    Raises ScenarioError with the line of a row that is malformed, or whose blocks do not cover its
    prompt.
    """
    block_tokens = source.block_tokens or BLOCK_TOKENS
    chats = _Chats(source.tally)
    keys: dict[str, None] = {}
    times = Stamps(source, "timestamp", "s")

    def batch_of(keyed: KeyedRows) -> Batch:
        named: list[tuple[Any, Any]] = []
        columns = MooncakeColumns.of(_chats_named(keyed.rows, named), block_tokens)
        batch = columns.batch(times.seconds(numbers(columns.stamps), keyed.lines), keyed.lines)
        if not source.links_wanted:
            return batch
        unknown = np.full(len(named), np.nan)
        session: list[int] = []
        for line, (chat, parent) in zip(keyed.lines.tolist(), named, strict=True):
            _refuse_chat(chat, chats, source, line)
            session.append(chats.session_of(chat, parent))
        return batch._replace(links=Links(np.array(session), unknown, unknown))

    for batch in keyed_batches(source.path, source.place, batch_of, _EXPECTED, keys):
        refuse_gaps(batch, source.place, block_tokens)
        source.tally.note_unused(key for key in keys if key not in _KEYS)
        if "chat_id" not in keys:
            note_conversations(keys, source.tally)
            source.tally.note(
                f"times are read as {times.unit}: blocks of 16 tokens are Bailian's, whose times are seconds; for another unit, write time_unit"
            )
        yield batch
    if chats.unnamed:
        source.tally.note(f"{chats.unnamed:,} rows have no chat_id, so no turn can follow them")


def _chats_named(rows: Iterable[KeyedRow], named: list[tuple[Any, Any]]) -> Iterator[KeyedRow]:
    """Yield the rows, and add the chat and parent chat of each row to `named`."""
    for row in rows:
        named.append((_name(row.get("chat_id")), _name(row.get("parent_chat_id"))))
        yield row


def _refuse_chat(chat: Any, chats: _Chats, source: TraceSource, line: int) -> None:
    """Raise ScenarioError if the row at this line cannot have this chat."""
    if chats.is_late(chat):
        way = way_to_sort(source.path, None, is_reversed=False)
        source.place.refuse_at(
            line,
            f"chat {shown(chat)} stands below a row that follows it; expected rows in order of time, or replay: timestamps: {way}",
        )
    if chats.is_there(chat):
        source.place.refuse_at(
            line,
            f"chat {shown(chat)} stands in a row above too; expected each chat_id once, or replay: timestamps",
        )


def _name(value: Any) -> Any:
    """Return the name of a chat; None if the value names no chat.

    Raises TypeError if a value of this type cannot be a name.
    """
    hash(value)
    return value if is_name(value) and value not in (_ROOT, str(_ROOT)) else None


class _Chats:
    """Numbers of conversations by their chats."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._sessions: dict[Any, int] = {}
        """Number of the conversation of each chat."""
        self._answered: set[Any] = set()
        """Chats that another turn follows."""
        self._missing: set[Any] = set()
        """Chats that another turn follows and that have not been read yet."""
        self.unnamed = 0
        """Number of rows without a chat."""
        self._count = 0

    def is_late(self, chat: Any) -> bool:
        """Return whether a row above follows this chat."""
        return chat in self._missing

    def is_there(self, chat: Any) -> bool:
        """Return whether a row above has this chat."""
        return chat in self._sessions

    def session_of(self, chat: Any, parent: Any) -> int:
        """Return the conversation of a row: the conversation of its parent, or a new one.

        A conversation is a chain: a second turn after one answer starts a new conversation.
        """
        session = None
        if parent is not None:
            session = self._sessions.get(parent)
            if session is None:
                self._missing.add(parent)
                self._tally.orphans += 1
            elif parent in self._answered:
                self._tally.branches += 1
                session = None
            else:
                self._answered.add(parent)
        if session is None:
            session, self._count = self._count, self._count + 1
        if chat is None:
            self.unnamed += 1
        else:
            self._sessions[chat] = session
        return session
