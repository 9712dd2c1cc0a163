"""PrefixCache: full blocks that stay findable by their content, and the order of their eviction.

As in vLLM V1 (vllm/v1/core/block_pool.py, kv_cache_manager.py): a full block is known by its
content and all before it; blocks in use are counted by their users; a request's blocks join the end
of the queue of free blocks when it leaves, its last block first; a new block is taken from the
front of that queue, and what it held is forgotten.

Nothing here looks at single blocks. A prompt comes in pieces, each known by an identity that stands
for its content after exactly what comes before it; a piece owns the blocks that end within it. A
request that uses a block of a prompt uses all blocks before it. So each user of a piece holds some
number of its first blocks, and the free blocks behind these have joined the queue from the last to
the first: both are numbers. A request costs time by the number of its pieces, whatever their
length.
"""

from __future__ import annotations

from collections import deque

from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.offload import TierStore

Identity = int | Request | tuple[object, int]
"""Identity of a piece of a prompt. What only one request can ask for, after a preemption, is known
by the request itself; what is kept at one place of a piece, by the piece and the place."""


class Piece:
    """Blocks of one piece that are in the cache: always its first ones."""

    __slots__ = ("cached", "copying", "free", "held", "identity", "pages", "users")

    def __init__(self, identity: Identity, pages: int) -> None:
        self.identity = identity
        self.pages = pages
        """Number of pages of a block."""
        self.held = 0
        """Number of blocks in use."""
        self.cached = 0
        """Number of blocks in the cache, those in use included."""
        self.copying: list[Held] = []
        """Holdings of users that computed a block although another user held the same already."""
        self.users: dict[int, int] = {}
        """Number of users by the number of blocks that they hold."""
        self.free: list[Run] = []
        """Runs of the blocks beyond `held` in the queue, from the last to the first."""


class Run:
    """Neighbours in the queue of free blocks.

    They are `blocks` blocks of a piece from the last to the first, then `forgotten` without
    content.
    """

    __slots__ = ("blocks", "forgotten", "piece")

    def __init__(self, piece: Piece | None, blocks: int, forgotten: int) -> None:
        self.piece, self.blocks, self.forgotten = piece, blocks, forgotten


class Held:
    """Blocks of one piece that one request uses."""

    __slots__ = ("blocks", "copies", "first_copy", "piece")

    def __init__(self, piece: Piece) -> None:
        self.piece, self.blocks, self.copies = piece, 0, 0
        self.first_copy = 0
        """Number of blocks before its copies."""


class PrefixCache:
    """Free blocks of one replica in the order in which they are taken, and what is in them."""

    __slots__ = ("_block_tokens", "_pages", "_pieces", "_queue", "_store", "free")

    def __init__(
        self, pages: int, block_tokens: int, store: TierStore | None = None, block_pages: int = 1
    ) -> None:
        self._block_tokens, self._store, self._pages = block_tokens, store, block_pages
        self._queue: deque[Run] = deque([Run(None, 0, pages)])
        self._pieces: dict[Identity, Piece] = {}
        self.free = pages
        """Number of pages in the queue."""

    @property
    def cached_free(self) -> int:
        """Number of free pages that are still findable."""
        return sum(run.blocks * run.piece.pages for run in self._queue if run.piece is not None)

    @property
    def forgotten_free(self) -> int:
        """Number of free pages whose content is forgotten."""
        return sum(run.forgotten for run in self._queue)

    def take_until(self, free: int) -> None:
        """Take pages from the front of the queue until `free` are left.

        Their content is forgotten, or goes to the store. Below 0 nothing is left: with drafts the
        blocks of decoding sequences are a mean, which may exceed the cache until the next step.
        """
        free = max(free, 0)
        missing, queue = self.free - free, self._queue
        if missing < 0:
            # Blocks of decoding sequences are not counted one by one: some are free sooner.
            self._append(Run(None, 0, -missing))
            return
        self.free = free
        while missing > 0:
            run = queue[0]
            if run.blocks:
                missing -= self._evict(run, missing)
                if missing < 0:  # the rest of a block that has lost its content
                    if not run.forgotten and not run.blocks:
                        queue.popleft()
                    queue.appendleft(Run(None, 0, -missing))
                    return
            taken = run.forgotten if run.forgotten < missing else missing
            run.forgotten -= taken
            missing -= taken
            if not run.forgotten and not run.blocks:
                queue.popleft()

    def _evict(self, run: Run, max_pages: int) -> int:
        """Forget blocks of a piece at the front of the queue, for `max_pages` pages of them at most.

        Returns their pages; of the last block there may be more than were asked for.
        """
        piece = run.piece
        assert piece is not None
        pages = piece.pages
        blocks = -(-max_pages // pages)
        taken = run.blocks if run.blocks < blocks else blocks
        run.blocks -= taken
        piece.cached -= taken
        is_findable = self._pieces.get(piece.identity) is piece
        if self._store is not None and is_findable and isinstance(piece.identity, int):
            self._store.put(piece.identity, piece.cached, piece.cached + taken)
        if not run.blocks:
            del piece.free[0]
            if not piece.cached and is_findable:
                del self._pieces[piece.identity]
        return taken * pages

    def find(self, request: Request) -> tuple[int, int]:
        """Return (blocks at the front of a request's text in the cache, those of them in use).

        At least one token is left to be prefilled, as the engine needs its output.
        """
        block = self._block_tokens
        return self._find(request, (request.prompt_tokens + request.generated - 1) // block)

    def _find(self, request: Request, limit: int) -> tuple[int, int]:
        """Return as `find` does, of the first `limit` blocks."""
        block = self._block_tokens
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
            cached = min(limit - first, blocks, piece.cached)
            found += cached
            used += min(piece.held, cached)
            if cached < blocks:
                break
        return found, used

    def find_stored(self, request: Request, found: int) -> tuple[int, float]:
        """Return (blocks behind the first `found` that are fetched from the store, time [s]).

        At least one token is left to be prefilled here too.
        """
        if self._store is None:
            return 0, 0.0
        block = self._block_tokens
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
        """Let a request use the first `blocks` blocks of its text.

        Those that it does not hold come from the store.
        """
        assert self._store is not None
        self.hold(request, blocks, computed=True)
        for held in reversed(request.holds):
            self._store.touch(held.piece.identity)

    def hold(self, request: Request, blocks: int, *, computed: bool) -> None:
        """Let a request use the first `blocks` blocks of its text, as far as they have an identity.

        computed: it has filled those itself that it did not use before; else `find` has found them.
        """
        block, holds = self._block_tokens, request.holds
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
                    piece = Piece(identity, self._pages)
                    if last > first:
                        self._pieces[identity] = piece
                holds.append(Held(piece))
            held = holds[place]
            if last > blocks:
                last = blocks
            if held.blocks < last - first:
                self._deepen(held, last - first, computed=computed)

    def release(self, request: Request, blocks: int, *, again: bool) -> int:
        """Take back `blocks` pages that a request has filled, the last perhaps in part.

        Returns how many become free. again: it was preempted and will ask for all of them again.
        """
        forgotten, pages = blocks, self._pages
        for held in request.holds:
            forgotten -= held.blocks * pages
        before = self.free
        self._append(Run(None, 0, forgotten))
        for held in reversed(request.holds):
            if not held.blocks:
                continue
            piece, users = held.piece, held.piece.users
            held_before = piece.held
            if users[held.blocks] == 1:
                del users[held.blocks]
                piece.held = max(users) if users else 0
            else:
                users[held.blocks] -= 1
            if piece.copying:
                if held.copies:
                    piece.copying.remove(held)
                    self._append(Run(None, 0, held.copies * pages))
                self._replace_by_copies(piece)
            if held_before > piece.held:
                run = Run(piece, held_before - piece.held, 0)
                piece.free.append(run)
                self._append(run)
        request.holds = []
        if not again:
            self._pieces.pop(request, None)
        return self.free - before

    def _replace_by_copies(self, piece: Piece) -> None:
        """Let copies take the place of blocks that nobody uses any more; those become free."""
        copying = piece.copying
        if not copying:
            return
        users = dict(piece.users)
        for held in copying:
            users[held.blocks] -= 1
        used = max((blocks for blocks, count in users.items() if count), default=0)
        used = max(used, *(held.first_copy for held in copying), 0)
        last = max(copying, key=lambda held: held.first_copy + held.copies)
        replaced = last.first_copy + last.copies - used
        if replaced <= 0:
            return
        last.copies -= replaced
        if not last.copies:
            copying.remove(last)
        self._append(Run(None, 0, replaced * self._pages))

    def _append(self, run: Run) -> None:
        """Add blocks to the end of the queue of free ones."""
        queue = self._queue
        if run.piece is not None:
            if run.piece.pages:  # else nothing can be taken of it
                self.free += run.blocks * run.piece.pages
                queue.append(run)
        elif run.forgotten:
            self.free += run.forgotten
            if queue:
                queue[-1].forgotten += run.forgotten
            else:
                queue.append(run)

    def _pieces_of(self, request: Request) -> tuple[tuple[Identity, int], ...]:
        """Return a request's text in pieces, its answer included where it may be asked for."""
        if request.output_piece is None and not request.preemptions:
            return request.pieces
        named = sum(tokens for _, tokens in request.pieces)
        identity = (
            request.output_piece
            if request.output_piece is not None and named == request.prompt_tokens
            else request
        )
        return (*request.pieces, (identity, request.prompt_tokens + request.output_tokens - named))

    def _deepen(self, held: Held, blocks: int, *, computed: bool) -> None:
        """Let a request that holds some of a piece's blocks hold `blocks` of them."""
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
                held.first_copy = held.blocks
            held.copies += copies
        left = min(blocks, piece.cached) - piece.held
        # In the queue until now: they are taken out, or lose their content where the request has
        # filled others.
        while left > 0:
            run = piece.free[-1]
            taken = run.blocks if run.blocks < left else left
            run.blocks -= taken
            left -= taken
            if computed:
                run.forgotten += taken * piece.pages
            else:
                self.free -= taken * piece.pages
            if not run.blocks:
                piece.free.pop()
        held.blocks = blocks
        if blocks > piece.held:
            piece.held = blocks
            if blocks > piece.cached:
                piece.cached = blocks
