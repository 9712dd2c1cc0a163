"""GroupedPrefixCache: prefix cache if groups of layers share one pool of pages.

As in vLLM (vllm/v1/core/kv_cache_coordinator.py, single_type_kv_cache_manager.py), a hit ends at a
position where blocks of all groups end. Groups with full attention need every block before that
position. A sliding window needs the blocks of its last tokens, a chunk the blocks since its start,
and a recurrent state needs a saved state at that position. This content is kept at the ends of the
pieces that a request has prefilled, at the end of its prompt and at the position where it leaves.
If there are states, they are kept at the last block boundary before the end of each chunk of a
prompt and at the position where a request leaves. A prefix that several requests share is found up
to the last kept position in it. Kept content joins the queue of free pages like a block of the
text, and can be reused until it is evicted.

Two details are simpler than in vLLM. Kept content stays in the queue while requests use it, so it
is evicted slightly earlier. A state is saved when a step passes the last block boundary of a chunk;
vLLM ends the chunk there (`_mamba_block_aligned_split` in v1/core/sched/scheduler.py, mode
`align`).
"""

from __future__ import annotations

from math import lcm

from cluster_sim.physics.cache_groups import Groups
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.prefix_cache import Identity, Piece, PrefixCache, Run


class GroupedPrefixCache(PrefixCache):
    """Free pages of one replica with their content; a block spans all groups of layers."""

    __slots__ = ("_bare_blocks", "_has_states", "_limited", "_places")

    def __init__(self, pages: int, groups: Groups) -> None:
        block_tokens = common_block(groups)
        growing = [group for group in groups if group.view == "context"]
        block_pages = sum(group.pages * block_tokens // group.block_tokens for group in growing)
        super().__init__(pages, block_tokens, block_pages=block_pages)
        self._limited = [group for group in groups if group.view != "context"]
        views = {group.view for group in self._limited}
        self._has_states = "state" in views
        # At each multiple of this number of blocks a chunk of the text ends, and nothing is needed.
        chunks = lcm(block_tokens, *(group.view_tokens for group in self._limited))
        self._bare_blocks = chunks // block_tokens if views == {"chunk"} else 0
        self._places: dict[Identity, list[int]] = {}  # ascending positions; some may be evicted

    @property
    def block_pages(self) -> int:
        """Number of pages per block in the groups with full attention."""
        return self._pages

    @property
    def keeps_places(self) -> bool:
        """Whether hits end only at positions with kept content."""
        return bool(self._limited)

    def find(self, request: Request) -> tuple[int, int]:
        """Return (number of leading blocks of a request's text that hit, number of these in use).

        The hit ends at a position where the content for limited views and states is kept.
        """
        found, used = super().find(request)
        place = self._last_kept(request, found)
        return (found, used) if place == found else self._find(request, place)

    def use_kept(self, request: Request, blocks: int) -> None:
        """Record that the content kept after the first `blocks` blocks of a text was used."""
        identity = self._owner(request, blocks)
        if identity is not None:
            self._keep(identity, blocks)

    def keep_passed(self, request: Request, past: int, tokens: int) -> None:
        """Keep the content needed at the ends of pieces between `past` and `tokens` of a prompt.

        If there are states, the only position is the last block boundary up to `tokens`.
        """
        block, end = self._block_tokens, 0
        length = request.prompt_tokens + request.generated
        is_whole = tokens == length
        if self._has_states:
            place = tokens // block
            identity = self._owner(request, place)
            if identity is not None and (is_whole or past < place * block):
                self._keep(identity, place)
            return
        for identity, size in self._pieces_of(request):
            first = end // block
            end += size
            last = min(end, length) // block
            if first < last and past < last * block <= tokens:
                self._keep(identity, last)
            elif is_whole and first < length // block <= end // block:
                self._keep(identity, length // block)

    def release_at(self, request: Request, pages: int, tokens: int, *, again: bool) -> int:
        """Release the pages of a request with `tokens` tokens; return the same as `release`.

        The content needed to continue after the last whole block is kept, unless a chunk of the
        text has ended since then: its pages are free already.
        """
        place = tokens // self._block_tokens
        identity = self._owner(request, place)
        if identity is request and not again:  # no request will look it up
            identity = None
        kept = 0
        if identity is not None and (identity, place) not in self._pieces:
            kept = self._kept_pages(place)
        if kept > pages - self._pages * sum(held.blocks for held in request.holds):
            identity, kept = None, 0
        free = self.free
        self.release(request, pages - kept, again=again)
        if identity is not None:
            self._keep(identity, place)
        return self.free - free

    def forget_own(self, request: Request) -> None:
        """Let nobody find content that only this request could reuse after a preemption."""
        super().forget_own(request)
        self._places.pop(request, None)

    def _keep(self, identity: Identity, place: int) -> None:
        """Put the content needed after `place` blocks at the end of the queue."""
        pages = self._kept_pages(place)
        if not pages:
            return
        key = identity, place
        piece = self._pieces.get(key)
        if piece is None:
            piece = self._pieces[key] = Piece(key, pages)
            piece.cached = 1
            known = [at for at in self._places.get(identity, ()) if (identity, at) in self._pieces]
            self._places[identity] = sorted({*known, place})
        else:  # the content moves to the end of the queue
            self.free -= pages
            piece.free.pop().blocks = 0
        run = Run(piece, 1, 0)
        piece.free.append(run)
        self._append(run)

    def _kept_pages(self, place: int) -> int:
        """Return the number of pages of limited views and states for a hit of `place` blocks."""
        pages, tokens = 0, place * self._block_tokens
        for group in self._limited:
            pages += group.pages * group.blocks_before(tokens)
        return pages

    def _last_kept(self, request: Request, found: int) -> int:
        """Return the last position up to `found` blocks at which all content for a hit is kept."""
        if not self._limited:
            return found
        best = found - found % self._bare_blocks if self._bare_blocks else 0
        for identity, first, _ in self._spans(request):
            if first >= found:
                break
            for place in self._places.get(identity, ()):
                if best < place <= found and (identity, place) in self._pieces:
                    best = place
        return best

    def _owner(self, request: Request, place: int) -> Identity | None:
        """Return the identity of the piece in which the first `place` blocks of a text end."""
        spans = self._spans(request)
        return next((name for name, first, last in spans if first < place <= last), None)

    def _spans(self, request: Request) -> list[tuple[Identity, int, int]]:
        """Return (identity, blocks before the piece, blocks up to its end) per piece of a text."""
        spans, end = [], 0
        for identity, tokens in self._pieces_of(request):
            first = end // self._block_tokens
            end += tokens
            spans.append((identity, first, end // self._block_tokens))
        return spans


def common_block(groups: Groups) -> int:
    """Return the number of tokens after which blocks of all groups end together.

    >>> from cluster_sim.physics.cache_groups import CacheGroup
    >>> common_block((CacheGroup(16), CacheGroup(24, view="window", view_tokens=96)))
    48
    """
    return lcm(*(group.block_tokens for group in groups if group.view != "state"))
