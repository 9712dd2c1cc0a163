"""Whole blocks of prompts that stay in the KV cache to be found again, and the queue in which they
are thrown away.

As in vLLM V1 (vllm/v1/core/block_pool.py, kv_cache_manager.py): a full block is known by its
content and all before it; blocks in use are counted by their users; a request's blocks join the end
of the queue of free blocks when it leaves, its last block first; a new block is taken from the
front of that queue, and what it held is forgotten.

Nothing here looks at single blocks. A prompt comes in pieces, each known by an identity that stands
for its content after exactly what comes before it; a piece owns the blocks that end within it. Who
uses a block of a prompt uses all blocks before it, so of each piece the users hold so many of its
first blocks, and the free ones after these have joined the queue from the last to the first: a
number each. A request costs time by its pieces, whatever their length.
"""

from __future__ import annotations

from collections import deque

from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.offload import TierStore

Identity = int | Request
"""Of a piece of a prompt; what only one request can ask for, after a preemption, is known by the
request itself."""


class Piece:
    """The blocks of one piece that are in the cache: always its first ones."""

    __slots__ = ("cached", "copying", "free", "held", "identity", "users")

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.held = 0
        """Blocks in use."""
        self.cached = 0
        """Blocks in the cache, those in use included."""
        self.copying: list[Held] = []
        """What users hold who computed a block although another held its like already."""
        self.users: dict[int, int] = {}
        """How many users hold how many of its blocks."""
        self.free: list[Run] = []
        """The blocks beyond `held`, from the last to the first."""


class Run:
    """Neighbours in the queue of free blocks: `blocks` of a piece from the last to the first, then
    `forgotten` of no content.
    """

    __slots__ = ("blocks", "forgotten", "piece")

    def __init__(self, piece: Piece | None, blocks: int, forgotten: int) -> None:
        self.piece, self.blocks, self.forgotten = piece, blocks, forgotten


class Held:
    """What one request holds of one piece."""

    __slots__ = ("blocks", "copies", "piece")

    def __init__(self, piece: Piece) -> None:
        self.piece, self.blocks, self.copies = piece, 0, 0


class PrefixCache:
    """The free blocks of one replica in the order in which they are taken, and what is still in
    them.
    """

    __slots__ = ("_block", "_pieces", "_queue", "_store", "free")

    def __init__(self, blocks: int, block_tokens: int, store: TierStore | None = None) -> None:
        self._block, self._store = block_tokens, store
        self._queue: deque[Run] = deque([Run(None, 0, blocks)])
        self._pieces: dict[Identity, Piece] = {}
        self.free = blocks
        """Blocks in the queue."""

    @property
    def cached_free(self) -> int:
        """Free blocks that may still be found."""
        return sum(run.blocks for run in self._queue)

    @property
    def forgotten_free(self) -> int:
        """Number of free blocks whose content is forgotten."""
        return sum(run.forgotten for run in self._queue)

    def take_until(self, free: int) -> None:
        """Blocks were taken from the front of the queue until `free` are left; what they held is
        forgotten, or goes to the store.
        """
        wanted, queue = self.free - free, self._queue
        if wanted < 0:  # of sequences whose blocks are not counted one by one some are free sooner
            self._append(Run(None, 0, -wanted))
            return
        self.free = free
        while wanted > 0:
            run = queue[0]
            piece = run.piece
            if piece is not None and run.blocks:
                taken = run.blocks if run.blocks < wanted else wanted
                run.blocks -= taken
                wanted -= taken
                piece.cached -= taken
                if (
                    self._store is not None
                    and isinstance(piece.identity, int)
                    and self._pieces.get(piece.identity) is piece
                ):
                    self._store.put(piece.identity, piece.cached, piece.cached + taken)
                if not run.blocks:
                    del piece.free[0]
                    if not piece.cached and self._pieces.get(piece.identity) is piece:
                        del self._pieces[piece.identity]
            taken = run.forgotten if run.forgotten < wanted else wanted
            run.forgotten -= taken
            wanted -= taken
            if not run.forgotten and not run.blocks:
                queue.popleft()

    def find(self, request: Request) -> tuple[int, int]:
        """(blocks at the front of what the request has to read that are in the cache, how many of
        them are in use).

        One token at least is left to be read, as the engine needs its output.
        """
        block = self._block
        limit = (request.prompt_tokens + request.generated - 1) // block
        found = used = end = 0
        for identity, tokens in self._pieces_of(request):
            first = end // block
            end += tokens
            blocks = end // block - first
            if not blocks:
                continue
            piece = self._pieces.get(identity)
            if piece is None:
                break
            most = limit - first
            if most > blocks:
                most = blocks
            if piece.cached < most:
                most = piece.cached
            found += most
            used += piece.held if piece.held < most else most
            if most < blocks:
                break
        return found, used

    def find_stored(self, request: Request, found: int) -> tuple[int, float]:
        """(blocks right behind the first `found` ones that are fetched from the store; how long
        that takes [s]).

        One token at least is left to be read here too.
        """
        if self._store is None:
            return 0, 0.0
        block = self._block
        limit = (request.prompt_tokens + request.generated - 1) // block
        reached, end, seconds = found, 0, 0.0
        for identity, tokens in self._pieces_of(request):
            first = end // block
            end += tokens
            last = min(end // block, limit)
            if last <= reached:
                continue
            more, more_s = self._store.find(identity, reached - first, last - first)
            reached, seconds = reached + more, seconds + more_s
            if reached < last:
                break
        return reached - found, seconds

    def fetch(self, request: Request, blocks: int) -> None:
        """The request uses the first `blocks` blocks of its text, of which those that it does not
        hold come from the store.
        """
        assert self._store is not None
        self.hold(request, blocks, computed=True)
        for held in reversed(request.holds):
            self._store.touch(held.piece.identity)

    def hold(self, request: Request, blocks: int, computed: bool) -> None:
        """The request uses the first `blocks` blocks of its text, those that have an identity.

        computed: those that it did not use before, it has filled itself; else they are among those
        that `find` has found.
        """
        block, holds = self._block, request.holds
        end = 0
        for place, (identity, tokens) in enumerate(self._pieces_of(request)):
            first = end // block
            if first >= blocks:
                return
            end += tokens
            last = end // block
            if place == len(holds):
                piece = self._pieces.get(identity)
                if piece is None:
                    piece = Piece(identity)
                    if last > first:
                        self._pieces[identity] = piece
                holds.append(Held(piece))
            held = holds[place]
            if last > blocks:
                last = blocks
            if held.blocks < last - first:
                self._deepen(held, last - first, computed)

    def release(self, request: Request, blocks: int, again: bool) -> int:
        """A request that has filled `blocks` blocks, the last of them perhaps in part, gives them
        back. How many become free.

        again: it was preempted and will ask for all of them again.
        """
        forgotten = blocks
        for held in request.holds:
            forgotten -= held.blocks
        before = self.free
        self._append(Run(None, 0, forgotten))
        for held in reversed(request.holds):
            if not held.blocks:
                continue
            piece, users = held.piece, held.piece.users
            most = piece.held
            if users[held.blocks] == 1:
                del users[held.blocks]
                piece.held = max(users) if users else 0
            else:
                users[held.blocks] -= 1
            if piece.copying:
                if held.copies:
                    piece.copying.remove(held)
                    self._append(Run(None, 0, held.copies))
                elif len(piece.copying) == sum(
                    users.values()
                ):  # nobody is left who uses the first one: a copy takes its place
                    self._append(Run(None, 0, piece.copying[0].copies))
                    piece.copying.pop(0).copies = 0
            if most > piece.held:
                run = Run(piece, most - piece.held, 0)
                piece.free.append(run)
                self._append(run)
        request.holds = []
        if not again:
            self._pieces.pop(request, None)
        return self.free - before

    def _append(self, run: Run) -> None:
        """Blocks join the queue of free ones."""
        queue = self._queue
        self.free += run.blocks + run.forgotten
        if run.piece is not None:
            queue.append(run)
        elif run.forgotten:
            if queue:
                queue[-1].forgotten += run.forgotten
            else:
                queue.append(run)

    def _pieces_of(self, request: Request) -> tuple[tuple[Identity, int], ...]:
        """The request's text in pieces, the answer so far included where it may be asked for."""
        if request.output_piece is None and not request.preemptions:
            return request.pieces
        named = sum(tokens for _, tokens in request.pieces)
        identity = (
            request.output_piece
            if request.output_piece is not None and named == request.prompt_tokens
            else request
        )
        return (*request.pieces, (identity, request.prompt_tokens + request.output_tokens - named))

    def _deepen(self, held: Held, blocks: int, computed: bool) -> None:
        """A request that holds some of a piece's blocks now holds `blocks` of them."""
        piece = held.piece
        users = piece.users
        if held.blocks:
            if users[held.blocks] == 1:
                del users[held.blocks]
            else:
                users[held.blocks] -= 1
        users[blocks] = users.get(blocks, 0) + 1
        if computed and piece.held > held.blocks:
            copies = min(piece.held, blocks) - held.blocks
            if not held.copies:
                piece.copying.append(held)
            held.copies += copies
        left = min(blocks, piece.cached) - piece.held
        while (
            left > 0
        ):  # in the queue until now: taken out, or where the request has filled others, without content from now on
            run = piece.free[-1]
            taken = run.blocks if run.blocks < left else left
            run.blocks -= taken
            left -= taken
            if computed:
                run.forgotten += taken
            else:
                self.free -= taken
            if not run.blocks:
                piece.free.pop()
        held.blocks = blocks
        if blocks > piece.held:
            piece.held = blocks
            if blocks > piece.cached:
                piece.cached = blocks
