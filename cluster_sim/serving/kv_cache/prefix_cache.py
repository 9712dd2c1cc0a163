"""PrefixCache: full blocks that stay findable by their content, and the order of their eviction.

The rules are those of vLLM V1 (vllm/v1/core/block_pool.py, kv_cache_manager.py). A full block is
identified by its content and all content before it. Blocks in use have a count of users. When a
request leaves, its blocks join the end of the queue of free blocks, the last block first. A new
block is taken from the front of that queue, and its content is forgotten.

There is no loop over blocks. A prompt consists of pieces. The identity of a piece stands for its
content and all content before it, and a piece owns the blocks that end in it. A request that uses a
block of a prompt uses all blocks before it. Each user of a piece therefore holds a number of its
leading blocks, and the free blocks after these are in the queue from the last to the first: two
numbers suffice. The cost per request depends on the number of its pieces, not on their length.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.offload import Stored, TierStore

Identity = int | Request | tuple[object, int]
"""Identity of a piece of a prompt. Content that only one request can reuse, after a preemption, is
identified by the request; content kept at a position of a piece, by the piece and the position."""


class Piece:
    """Cached blocks of one piece, which are always its leading blocks."""

    __slots__ = ("cached", "copying", "free", "held", "identity", "pages", "users")

    def __init__(self, identity: Identity, pages: int) -> None:
        self.identity = identity
        self.pages = pages
        """Number of pages per block."""
        self.held = 0
        """Number of blocks in use."""
        self.cached = 0
        """Number of blocks in the cache, blocks in use included."""
        self.copying: list[Held] = []
        """Holdings of users that computed a block although another user already held an equal
        block."""
        self.users: dict[int, int] = {}
        """Number of users, by number of blocks that they hold."""
        self.free: list[Run] = []
        """Runs in the queue of the blocks after `held`, from the last to the first."""


class Run:
    """Consecutive entries in the queue of free blocks.

    They are `blocks` blocks of a piece from the last to the first, then `forgotten` blocks without
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
        """Number of blocks before the request's own copies."""


class PrefixCache:
    """Free blocks of one replica in the order of eviction, with their content."""

    __slots__ = ("_block_tokens", "_pages", "_pieces", "_queue", "_store", "_tell", "free")

    def __init__(
        self,
        pages: int,
        block_tokens: int,
        store: TierStore | None = None,
        block_pages: int = 1,
        tell: Callable[[int, int], None] | None = None,
    ) -> None:
        """Begin with an empty cache.

        Parameters
        ----------
        pages
            Number of pages of the cache.
        block_tokens
            Number of tokens per block.
        store
            Store of evicted blocks; None if there is none.
        block_pages
            Number of pages per block.
        tell
            Function that is called with the identity of a piece and the number of its tokens in the
            cache whenever that number changes; None if nobody listens.
        """
        self._tell = tell
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

        Their content is forgotten, or moves to the store. A negative `free` counts as 0: with
        speculative decoding, the blocks of decoding sequences are a mean, which may exceed the
        cache until the next step.
        """
        free = max(free, 0)
        missing, queue = self.free - free, self._queue
        if missing < 0:
            # Blocks of decoding sequences are not counted individually: some are free earlier.
            self._append(Run(None, 0, -missing))
            return
        self.free = free
        while missing > 0:
            run = queue[0]
            if run.blocks:
                missing -= self._evict(run, missing)
                if missing < 0:  # remaining pages of a block that has lost its content
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
        """Forget blocks of a piece at the front of the queue, for up to `max_pages` pages.

        Returns the number of their pages, which may exceed `max_pages` because of the last block.
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
        if is_findable and self._tell is not None:
            self._report(piece)
        if not run.blocks:
            del piece.free[0]
            if not piece.cached and is_findable:
                del self._pieces[piece.identity]
        return taken * pages

    def _report(self, piece: Piece) -> None:
        """Report the number of cached tokens of a piece that other requests may find."""
        if self._tell is not None and isinstance(piece.identity, int):
            self._tell(piece.identity, piece.cached * self._block_tokens)

    def find(self, request: Request) -> tuple[int, int]:
        """Return (leading blocks of a request's text in the cache, number of these in use).

        At least one token remains to be prefilled, since the engine needs its output.
        """
        block = self._block_tokens
        return self._find(request, (request.prompt_tokens + request.generated - 1) // block)

    def _find(self, request: Request, limit: int) -> tuple[int, int]:
        """Return the same as `find`, for the first `limit` blocks."""
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

    def find_stored(self, request: Request, found: int) -> Stored:
        """Return the blocks after the first `found` to fetch from tiers.

        At least one token remains to be prefilled here too. Blocks of a shared tier are left there
        if recomputing them is faster.
        """
        store = self._store
        if store is None:
            return Stored()
        stored = self._find_stored(request, found, shared=True)
        if stored.shared and not (store.view is None or store.view.is_faster(stored.shared)):
            stored = self._find_stored(request, found, shared=False)
        return stored

    def _find_stored(self, request: Request, found: int, *, shared: bool) -> Stored:
        """Return the same as `find_stored`, with the blocks of the shared tier or without."""
        assert self._store is not None
        block = self._block_tokens
        limit = (request.prompt_tokens + request.generated - 1) // block
        reached, end, seconds, remote = found, 0, 0.0, 0
        for identity, tokens in self._pieces_of(request):
            first = end // block
            end += tokens
            last = min(end // block, limit)
            if last <= reached:
                continue
            more = self._store.find(identity, reached - first, last - first, shared=shared)
            reached, seconds = reached + more.blocks, seconds + more.own_s
            remote += more.shared
            if reached < last:
                break
        return Stored(reached - found, seconds, remote)

    def fetch(self, request: Request, blocks: int) -> None:
        """Let a request use the first `blocks` blocks of its text.

        Blocks that it does not hold are fetched from the store.
        """
        assert self._store is not None
        self.hold(request, blocks, computed=True)
        for held in reversed(request.holds):
            self._store.touch(held.piece.identity)

    def hold(self, request: Request, blocks: int, *, computed: bool) -> None:
        """Let a request use the first `blocks` blocks of its text, as far as they have an identity.

        Parameters
        ----------
        computed
            Whether the request has computed the new blocks; otherwise they are cached blocks.
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
        """Release `blocks` pages that a request has filled, the last one possibly in part.

        Parameters
        ----------
        again
            Whether the request was preempted and will look up all of its blocks again.

        Returns
        -------
        int
            Number of pages that become free.
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
            self.forget_own(request)
        return self.free - before

    def forget_own(self, request: Request) -> None:
        """Let nobody find content that only this request could reuse after a preemption."""
        self._pieces.pop(request, None)

    def _replace_by_copies(self, piece: Piece) -> None:
        """Replace blocks without users by copies; the replaced blocks become free."""
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
        """Add blocks to the end of the queue of free blocks."""
        queue = self._queue
        if run.piece is not None:
            if run.piece.pages:  # otherwise there are no pages to take
                self.free += run.blocks * run.piece.pages
                queue.append(run)
        elif run.forgotten:
            self.free += run.forgotten
            if queue:
                queue[-1].forgotten += run.forgotten
            else:
                queue.append(run)

    def _pieces_of(self, request: Request) -> tuple[tuple[Identity, int], ...]:
        """Return a request's text in pieces, with its answer if another request may reuse it."""
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
        """Let a request that holds some blocks of a piece hold `blocks` of them."""
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
        # These blocks are in the queue. They leave it, or lose their content if the request has
        # computed its own blocks.
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
                if self._tell is not None and self._pieces.get(piece.identity) is piece:
                    self._report(piece)
