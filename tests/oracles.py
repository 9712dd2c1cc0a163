"""Answers that owe nothing to the program: textbook formulas, and a brute-force engine that makes
token after token.

The engine keeps each request's tokens in plain integers, counts blocks by looking at every sequence
at every step, and adds the time of a step up from the data sheet's terms. No SimPy, no closed
forms, no heaps.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from math import ceil, factorial, inf, lcm

from cluster_sim.hardware.device import Device
from cluster_sim.llm.model import Model
from cluster_sim.request import Request


@dataclass(eq=False)  # two alike are two
class Job:
    """One request of the brute-force engine."""

    arrival_s: float
    prompt: int
    output: int
    cached: int = 0  # tokens whose KV is stored
    made: int = 0  # tokens answered
    reading: int = 0  # tokens that must be stored before the next answer
    decodes: bool = False  # its prompt has been read since it was last admitted
    first_s: float = float("nan")
    finish_s: float = float("nan")
    token_times_s: list[float] = field(default_factory=list)
    pieces: tuple[tuple[int, int], ...] = ()
    answer: int | None = None
    priority: int = 0
    hit: int | None = None  # tokens found in the cache when it was first admitted
    table: list[Block] = field(default_factory=list)
    tables: list[dict[int, int]] = field(default_factory=list)  # pages by block, of each group
    spare: list[int] = field(default_factory=list)  # blocks that a window has left, of each group
    was_preempted: bool = False
    limit: int = 0  # most tokens of its answer, by the client
    cancel_s: float = inf  # when its client leaves; it leaves when the step in progress ends

    @property
    def most(self) -> int:
        """Tokens of the longest answer that the client allows."""
        return max(self.output, self.limit)

    def token(self, place: int) -> Hashable:
        """What stands at a place of its text, so that like texts have like tokens."""
        start = 0
        for identity, tokens in self.pieces:
            if place < start + tokens:
                return identity, place - start
            start += tokens
        if place >= self.prompt and self.answer is not None:
            return self.answer, place - self.prompt
        return id(self), place


@dataclass(eq=False)
class Block:
    """A block of KV cache: who uses it, what is in it, and whether that may be found."""

    users: int = 0
    content: Hashable = None
    known: bool = False


class Blocks:
    """All blocks of an engine, one by one; the free ones in the order in which they are taken."""

    def __init__(self, count: int, tokens: int) -> None:
        self.tokens = tokens
        self.all = [Block() for _ in range(count)]
        self.free = list(self.all)

    def take(self, job: Job, tokens: int, past: int) -> bool:
        """Blocks until the job has room for `tokens`, if there are enough."""
        missing = ceil(tokens / self.tokens) - len(job.table)
        if missing > len(self.free):
            return False
        for _ in range(missing):
            block = self.free.pop(0)
            block.users, block.content, block.known = 1, None, False
            job.table.append(block)
        return True

    def content(self, job: Job, place: int) -> Hashable:
        """A block's tokens and all before it."""
        return tuple(job.token(token) for token in range((place + 1) * self.tokens))

    def fill(self, job: Job, tokens: int) -> None:
        """The job's whole blocks among its first `tokens` may be found, unless their like in use
        may be already.
        """
        for place in range(tokens // self.tokens):
            block = job.table[place]
            if block.content is None:
                block.content = self.content(job, place)
                like = [
                    other for other in self.all if other.known and other.content == block.content
                ]
                block.known = not like or not like[0].users
                if like and not like[0].users:
                    like[0].known = False

    def find(self, job: Job) -> list[Block]:
        """Known blocks at the front of what the job has to read, one token at least left to read."""
        found: list[Block] = []
        for place in range((job.prompt + job.made - 1) // self.tokens):
            content = self.content(job, place)
            like = [block for block in self.all if block.known and block.content == content]
            if not like:
                break
            found += like
        return found

    def give_back(self, job: Job, *, again: bool) -> None:
        """The last block first; one that others have computed as well stays known where it is used."""
        for block in reversed(job.table):
            block.users -= 1
            if block.users:
                continue
            self.free.append(block)
            like = [other for other in self.all if other.users and other.content == block.content]
            if block.known and like:
                block.known, like[0].known = False, True
        job.table = []


class GroupTables:
    """Pages of several groups of layers, each group with a table of blocks of every sequence.

    groups: (tokens of a block, pages of a block, view, size of the view) of each group.
    """

    def __init__(self, count: int, groups: Sequence[tuple[int, int, str, int]]) -> None:
        self.groups, self.free = groups, count

    def seen(self, group: int, past: int, tokens: int) -> range:
        """Blocks of a group with a token that a query of `past` to `tokens` sees or writes."""
        block, _, view, size = self.groups[group]
        if view == "state":
            return range(1)
        first = 0
        if view == "window":
            first = max(past + 1 - size, 0)
        elif view == "chunk":
            first = past // size * size
        return range(first // block, ceil(tokens / block))

    def most_of_window(self, group: int) -> int:
        """Blocks that the window of one query touches at most, wherever it begins."""
        block, _, _, size = self.groups[group]
        return max(len({(at + key) // block for key in range(size)}) for at in range(block))

    def take(self, job: Job, tokens: int, past: int) -> bool:
        """Blocks of all groups until the job has room for `tokens`, if there are enough pages."""
        if not job.tables:
            job.tables = [{} for _ in self.groups]
            job.spare = [0 for _ in self.groups]
        tables, spares, missing = [dict(table) for table in job.tables], list(job.spare), 0
        for group, (_, pages, view, _) in enumerate(self.groups):
            table, seen = tables[group], self.seen(group, past, tokens)
            for block in [block for block in table if block < seen.start]:
                del table[block]
                if view == "window":
                    spares[group] += 1
                else:
                    missing -= pages
            for block in seen:
                if block in table:
                    continue
                table[block] = pages
                if spares[group]:
                    spares[group] -= 1
                else:
                    missing += pages
            if view == "window":  # behind a hit it takes as many as it keeps from then on
                kept = min(seen.stop, self.most_of_window(group)) - len(table) - spares[group]
                spares[group] += max(kept, 0)
                missing += pages * max(kept, 0)
        if not self.move(job, missing):
            return False
        job.tables, job.spare = tables, spares
        return True

    def move(self, job: Job, missing: int) -> bool:
        """Pages from the free ones to a job, or back where `missing` is negative, if there are so many."""
        if missing > self.free:
            return False
        self.free -= missing
        return True

    def settle(self, job: Job) -> None:
        """After a step a window keeps the blocks that one query may touch, a chunk its own."""
        for group, (_, pages, view, _) in enumerate(self.groups):
            table = job.tables[group]
            if view in ("context", "state"):
                continue
            seen = self.seen(group, job.cached, job.cached)
            for block in [block for block in table if block < seen.start]:
                del table[block]
                job.spare[group] += 1
            keep = self.most_of_window(group) - len(table) if view == "window" else 0
            while job.spare[group] > keep:
                job.spare[group] -= 1
                self.move(job, -pages)

    def held(self, job: Job) -> int:
        """Pages of a job."""
        return sum(
            pages * (len(table) + spare)
            for (_, pages, _, _), table, spare in zip(
                self.groups, job.tables, job.spare, strict=True
            )
        )

    def give_back(self, job: Job, *, again: bool) -> None:
        """All pages of a job are free."""
        self.move(job, -self.held(job))
        job.tables, job.spare = [], []


@dataclass(eq=False)
class Findable:
    """What may be found: the blocks of all groups for a stretch of text, or what a hit needs."""

    content: Hashable
    users: int = 0
    known: bool = False


class FindablePages(GroupTables):
    """Pages one by one: the free ones in the order in which they are taken, with what is in them.

    A unit of text is as long as blocks of all groups take to end together; it has `unit_pages` in
    the groups that see the whole context. What a hit needs of windows, chunks and states is kept at
    the ends of pieces of a prompt and where a job leaves; with states at the last unit before the
    end of each chunk of a prompt and where a job leaves.
    """

    def __init__(self, count: int, groups: Sequence[tuple[int, int, str, int]]) -> None:
        super().__init__(count, groups)
        self.pages: list[Findable | None] = [None] * count  # free ones
        self.unit = lcm(*(block for block, _, view, _ in groups if view != "state"))
        self.unit_pages = sum(
            pages * self.unit // block for block, pages, view, _ in groups if view == "context"
        )
        self.all: list[Findable] = []
        self.kept: dict[Hashable, Findable] = {}
        self.units: dict[int, list[Findable]] = {}

    def move(self, job: Job, missing: int) -> bool:
        """Pages from the front, or to the end without content."""
        if missing > self.free:
            return False
        self.free -= missing
        self.trim()
        self.pages += [None] * (self.free - len(self.pages))
        return True

    def trim(self) -> None:
        """Take pages from the front until as many are left as are free; what they held is lost."""
        while len(self.pages) > self.free:
            lost = self.pages.pop(0)
            if lost is not None:
                lost.known = False
                self.pages = [None if page is lost else page for page in self.pages]
                self.kept = {key: each for key, each in self.kept.items() if each is not lost}

    def content(self, job: Job, units: int) -> Hashable:
        """All tokens up to the end of so many units."""
        return tuple(job.token(token) for token in range(units * self.unit))

    def fill(self, job: Job, tokens: int) -> None:
        """Whole units of a job may be found, unless their like in use may be already."""
        own = self.units.setdefault(id(job), [])
        for place in range(len(own), tokens // self.unit):
            made = Findable(self.content(job, place + 1), users=1)
            like = [each for each in self.all if each.known and each.content == made.content]
            made.known = not like or not like[0].users
            if like and not like[0].users:
                like[0].known = False
                self.pages = [None if page is like[0] else page for page in self.pages]
            own.append(made)
            self.all.append(made)

    def needed(self, units: int) -> int:
        """Pages that the token behind so many units needs in limited views and states."""
        total, end = 0, units * self.unit
        for block, pages, view, size in self.groups:
            if view == "state":
                total += pages // 2  # of the two that a sequence holds
            elif view != "context":
                first = max(end - size + 1, 0) if view == "window" else end // size * size
                total += pages * len({token // block for token in range(first, end)})
        return total

    def keep(self, job: Job, units: int) -> None:
        """What a hit of so many units needs goes to the end of the free pages."""
        pages = self.needed(units)
        if not units or not pages:
            return
        key = self.content(job, units)
        kept = self.kept.setdefault(key, Findable(key))
        self.pages = [page for page in self.pages if page is not kept] + [kept] * pages

    def find(self, job: Job) -> list[Findable]:
        """Known units at the front of a text, up to the last place where what is needed is kept."""
        self.trim()
        found: list[Findable] = []
        for place in range((job.prompt + job.made - 1) // self.unit):
            content = self.content(job, place + 1)
            like = [each for each in self.all if each.known and each.content == content]
            if not like:
                break
            found.append(like[0])
        while found and self.needed(len(found)) and found[-1].content not in self.kept:
            found.pop()
        return found

    def admit(self, job: Job, found: list[Findable], tokens: int) -> bool:
        """Let a job use what was found, and take pages for `tokens` more, if there are enough."""
        hit = len(found) * self.unit
        GroupTables(1 << 30, self.groups).take(job, hit + tokens, hit)
        missing = self.held(job) - sum(1 for each in found if each.users) * self.unit_pages
        if missing > self.free:
            job.tables, job.spare = [], []
            return False
        self.free -= missing
        for each in found:
            if not each.users:
                self.pages = [page for page in self.pages if page is not each]
            each.users += 1
        self.units[id(job)] = list(found)
        self.keep(job, len(found))
        self.trim()
        return True

    def passed(self, job: Job, past: int) -> None:
        """Keep what is needed at the ends of pieces that a prompt has passed, and at its own.

        With states it is kept at the last unit of a chunk.
        """
        pieces, end, unit = list(job.pieces), 0, self.unit
        named = sum(tokens for _, tokens in pieces)
        if (job.answer is not None and named == job.prompt) or job.was_preempted:
            pieces.append((-1, job.prompt + job.output - named))
        has_states = any(view == "state" for _, _, view, _ in self.groups)
        reached = job.cached // unit
        for _, tokens in pieces:
            first, end = end // unit, end + tokens
            last = min(end, job.reading) // unit
            ends_here = job.cached == job.reading and job.reading // unit == last
            if has_states:
                is_new = past < reached * unit or job.cached == job.reading
                if first < reached <= end // unit and is_new:
                    self.keep(job, reached)
                continue
            passes = past < last * unit <= job.cached
            if first < last and (passes or ends_here):
                self.keep(job, last)

    def give_back(self, job: Job, *, again: bool) -> None:
        """Pages without content first, then units from the last on, then what a hit needs."""
        own = self.units.pop(id(job), [])
        units = job.cached // self.unit
        named = sum(tokens for _, tokens in job.pieces)
        if job.answer is not None and named == job.prompt:
            named += job.output
        keeps = again or units * self.unit <= named
        new = 0
        if keeps and units and self.content(job, units) not in self.kept:
            new = self.needed(units)
        if new > self.held(job) - len(own) * self.unit_pages:  # of a chunk that has ended
            keeps, new = False, 0
        freed = self.held(job) - sum(1 for each in own if each.users > 1) * self.unit_pages
        self.free += freed
        own_free = [each for each in own if each.users == 1]
        self.pages += [None] * (freed - len(own_free) * self.unit_pages - new)
        for each in reversed(own):
            each.users -= 1
            if each.users:
                continue
            like = [other for other in self.all if other.users and other.content == each.content]
            if each.known and like:
                each.known, like[0].known = False, True
            self.pages += [each if each.known else None] * self.unit_pages
        if keeps:
            self.keep(job, units)
        job.tables, job.spare = [], []


@dataclass(frozen=True)
class Limits:
    """What bounds the engine's steps."""

    blocks: int
    block_tokens: int
    max_sequences: int
    max_batched_tokens: int
    chunked: bool
    prefix_caching: bool = False
    rank: Callable[[Job], float] | None = None
    """Order of admission, the lowest first; None: the first to come, with preempted ones before."""
    groups: Sequence[tuple[int, int, str, int]] = ()
    """Groups of layers that share the blocks, see GroupTables."""
    watch: Callable[[int, int], None] = lambda taken, running: None
    """Is told the blocks taken and the requests running after each step."""
    policy: str = "first_chunk"
    """What an admission reserves, by the name of the engine's key."""
    ahead: int = 1
    """Steps for which max_utilization wants blocks for those that decode."""
    hold_steps: int = 0
    """Steps for which new jobs are held back beside those that decode, see `hold_tokens`."""
    hold_tokens: float = 0.0
    """Tokens of a step with all waiting prompts from which none is held back."""
    watermark: float = 0.0
    """Share of the blocks that an admission beside others leaves free; for one group of layers."""
    late: bool = False
    """Whether a step is prepared when the one before it begins, unless nothing is known by then."""


def jobs_of(requests: Sequence[Request]) -> list[Job]:
    """Return the brute-force engine's job of each request."""
    return [
        Job(
            request.arrival_s,
            request.prompt_tokens,
            request.output_tokens,
            pieces=request.pieces,
            priority=request.priority,
            limit=request.output_limit,
            answer=request.output_piece
            if request.prompt_tokens == sum(tokens for _, tokens in request.pieces)
            else None,
        )
        for request in requests
    ]


def peak_blocks(limits: Limits, tokens: int) -> int:
    """Most blocks, or pages, of a sequence that grows to `tokens` tokens in steps of any size."""
    if not limits.groups:
        return ceil(tokens / limits.block_tokens)
    total = 0
    for block, pages, view, size in limits.groups:
        most = ceil(tokens / block)
        if view == "state":
            most = 1
        elif view != "context":  # what the queries of one step see, wherever the step begins
            seen = range(size - 1 + limits.max_batched_tokens)
            touched = max(len({(at + key) // block for key in seen}) for at in range(block))
            most = min(most, touched)
        total += pages * most
    return total


def missing_ahead(limits: Limits, blocks: Blocks | GroupTables, running: Sequence[Job]) -> int:
    """Blocks that those that decode still need for the next steps of max_utilization."""
    if isinstance(blocks, GroupTables):
        return 0
    ends = {id(job): ceil((job.cached + limits.ahead) / limits.block_tokens) for job in running}
    return sum(max(ends[id(job)] - len(job.table), 0) for job in running if job.decodes)


def spare(limits: Limits, running: Sequence[Job]) -> int:
    """Blocks that the watermark keeps free beside running jobs."""
    return int(limits.watermark * limits.blocks) if running else 0


def holds_back(limits: Limits, held: int, waiting: Sequence[Job], running: Sequence[Job]) -> bool:
    """Whether new jobs wait for more to come; `held`: steps for which they have waited."""
    if held >= limits.hold_steps or not waiting or len(running) >= limits.max_sequences:
        return False
    tokens = len(running) + sum(job.prompt + job.made for job in waiting)
    return bool(running) and all(job.decodes for job in running) and tokens < limits.hold_tokens


def may_start(
    limits: Limits, blocks: Blocks | GroupTables, job: Job, running: Sequence[Job], in_use: int
) -> bool:
    """Whether the rule for what an admission reserves lets a job start.

    in_use: blocks, or pages, of its text that others use. To completion, every running job is
    looked at: it still needs what it will hold at its end less what it holds.
    """
    free = (
        blocks.free
        if isinstance(blocks, GroupTables)
        else len(blocks.free) - spare(limits, running)
    )
    if limits.policy == "first_chunk":
        return True
    if limits.policy == "max_utilization":
        free -= missing_ahead(limits, blocks, running)
    if limits.policy in ("full_isl", "max_utilization"):
        return peak_blocks(limits, job.prompt + job.made) - in_use <= free
    assert limits.policy == "guaranteed_no_evict"
    for one in running:
        held = blocks.held(one) if isinstance(blocks, GroupTables) else len(one.table)
        free -= to_completion(limits, one) - held
    return to_completion(limits, job) - in_use <= free


def to_completion(limits: Limits, job: Job) -> int:
    """Blocks of a job and of the longest answer, of which no more is wanted than there are."""
    tokens = job.prompt + job.most - 1
    while tokens >= job.prompt + job.output and peak_blocks(limits, tokens) > limits.blocks:
        tokens -= 1
    return peak_blocks(limits, tokens)


# (contexts of decoding sequences, (chunk, past) of each prompt, tokens sampled) -> seconds
StepSeconds = Callable[[list[int], list[tuple[int, int]], int], float]
StepSize = Callable[[int, int, bool], tuple[int, float, float]]


def serve_token_by_token(jobs: Sequence[Job], limits: Limits, step_s: StepSeconds) -> None:
    """Run all jobs to their end on one engine, as vLLM V1 schedules them; times are filled in."""
    arriving = sorted(jobs, key=lambda job: job.arrival_s)
    arriving_as = {id(job): place for place, job in enumerate(arriving)}
    waiting: list[Job] = []
    running: list[Job] = []
    held = 0  # steps for which new jobs have been held back
    now_s = prepared_s = 0.0  # the present step was prepared at the second time

    blocks: Blocks | GroupTables | FindablePages
    if limits.groups:
        tables = FindablePages if limits.prefix_caching else GroupTables
        blocks = tables(limits.blocks, limits.groups)
    else:
        blocks = Blocks(limits.blocks, limits.block_tokens)

    def place_of(job: Job) -> tuple[float, float, int]:
        assert limits.rank is not None
        return limits.rank(job), job.arrival_s, arriving_as[id(job)]

    def give_back(job: Job, *, again: bool) -> None:
        if limits.prefix_caching:
            assert isinstance(blocks, Blocks | FindablePages)
            blocks.fill(job, job.cached)
        job.was_preempted |= again
        blocks.give_back(job, again=again)

    def pause(victim: Job) -> None:
        running.remove(victim)
        give_back(victim, again=True)
        victim.cached, victim.reading, victim.decodes = 0, victim.prompt + victim.made, False
        waiting.insert(0, victim)

    while arriving or waiting or running:
        if not waiting and not running:
            now_s = max(now_s, arriving[0].arrival_s)
        is_known = bool(arriving) and arriving[0].arrival_s <= prepared_s
        known_s = prepared_s if limits.late and (waiting or running or is_known) else now_s
        while arriving and arriving[0].arrival_s <= known_s:
            waiting.append(arriving.pop(0))
        prepared_s = now_s
        budget, preempted = limits.max_batched_tokens, False
        step: list[tuple[Job, int]] = []
        place = 0
        while limits.policy == "max_utilization" and isinstance(blocks, Blocks):
            if missing_ahead(limits, blocks, running) <= len(blocks.free) or len(running) == 1:
                break
            pause(max(running, key=place_of) if limits.rank else running[-1])
            preempted = True
        while place < len(running):
            job = running[place]
            tokens = min(job.reading - job.cached, budget)
            while not (fits := blocks.take(job, job.cached + tokens, job.cached)):
                victim = max(running, key=place_of) if limits.rank else running[-1]
                preempted = True
                for known in [known for known in step if known[0] is victim]:
                    step.remove(known)
                    budget += known[1]
                    place -= 1
                pause(victim)
                if victim is job:
                    break
            if not fits:
                # with the one that has come to its place; vLLM leaves those after it out of this
                # step
                continue
            if isinstance(blocks, Blocks) and limits.prefix_caching and not job.decodes:
                blocks.fill(job, job.cached + tokens)
            is_whole = not job.decodes and job.cached + tokens == job.reading
            if isinstance(blocks, FindablePages) and is_whole:
                blocks.fill(job, job.reading)
            step.append((job, tokens))
            budget -= tokens
            place += 1
        if limits.rank:
            waiting.sort(key=place_of)
        is_held = not preempted and holds_back(limits, held, waiting, running)
        while (
            waiting
            and not is_held
            and budget > 0
            and not preempted
            and len(running) < limits.max_sequences
        ):
            job = waiting[0]
            job.reading = job.prompt + job.made
            if isinstance(blocks, GroupTables):
                known = blocks.find(job) if isinstance(blocks, FindablePages) else []
                hit = len(known) * blocks.unit if isinstance(blocks, FindablePages) else 0
                tokens = min(job.reading - hit, budget)
                if hit + tokens < job.reading and not limits.chunked:
                    break
                unit_pages = blocks.unit_pages if isinstance(blocks, FindablePages) else 0
                in_use = unit_pages * sum(1 for each in known if each.users)
                if not may_start(limits, blocks, job, running, in_use):
                    break
                if isinstance(blocks, FindablePages):
                    if not blocks.admit(job, known, tokens):
                        break
                    if hit + tokens == job.reading:
                        blocks.fill(job, hit + tokens)
                elif not blocks.take(job, tokens, 0):
                    break
                job.cached, job.hit = hit, hit if job.hit is None else job.hit
                waiting.pop(0)
                running.append(job)
                step.append((job, tokens))
                budget -= tokens
                continue
            found = blocks.find(job) if limits.prefix_caching else []
            hit = len(found) * limits.block_tokens
            tokens = min(job.reading - hit, budget)
            if hit + tokens < job.reading and not limits.chunked:
                break
            in_use = sum(1 for block in found if block.users)
            left = len(blocks.free) - spare(limits, running)
            if ceil((hit + tokens) / limits.block_tokens) - in_use > left:
                break
            if not may_start(limits, blocks, job, running, in_use):
                break
            for block in found:
                if not block.users:
                    blocks.free.remove(block)
                block.users += 1
            job.table = found
            whole = limits.policy == "max_utilization"
            blocks.take(job, job.reading if whole else hit + tokens, hit)
            job.cached, job.hit = hit, hit if job.hit is None else job.hit
            if limits.prefix_caching:
                blocks.fill(job, hit + tokens)
            waiting.pop(0)
            running.append(job)
            step.append((job, tokens))
            budget -= tokens
        decoding = [job.cached + 1 for job, _ in step if job.decodes]
        prompts = [(tokens, job.cached) for job, tokens in step if not job.decodes]
        held = 0 if prompts else held + is_held
        sampled = sum(1 for job, tokens in step if job.cached + tokens == job.reading)
        now_s += step_s(decoding, prompts, sampled)
        for job, tokens in step:
            job.cached += tokens
        if isinstance(blocks, GroupTables):
            for job in running:
                blocks.settle(job)
            step.sort(key=lambda part: not part[0].decodes)
        for job, tokens in step:
            if isinstance(blocks, FindablePages) and not job.decodes:
                blocks.passed(job, job.cached - tokens)
            if job.cached < job.reading:
                continue
            job.made, job.decodes = job.made + 1, True
            job.reading = job.cached + 1
            job.token_times_s.append(now_s)
            if job.made == 1:
                job.first_s = now_s
            if job.made == job.output:
                job.finish_s = now_s
                running.remove(job)
                give_back(job, again=False)
        for job in [job for job in (*running, *waiting, *arriving) if job.cancel_s <= now_s]:
            for queue in (running, waiting, arriving):
                if job in queue:
                    queue.remove(job)
            if job.table or any(job.tables):
                give_back(job, again=False)
        if isinstance(blocks, GroupTables):
            limits.watch(limits.blocks - blocks.free, len(running))


def gpu_step_s(
    model: Model,
    device: Device,
    tp: int,
    weight_bytes: float,
    kv_bytes: float,
    compute_eta: float,
    peak: float,
    size_of: StepSize | None = None,
) -> StepSeconds:
    """A step's time as the sum of its terms, dense grouped-query models with or without windows,
    one pipeline stage.

    size_of: from sequences, tokens and whether there are prompts to the padded number of tokens,
    seconds that are added, and the least length of the step.
    """
    eta, bandwidth, overhead = (
        device.efficiency,
        device.memory.bandwidth_bytes_per_s,
        device.overheads["default"],
    )
    width = (model.heads + 2 * model.kv_heads) / tp * model.head_dim
    passed = (
        2 * (8 * model.hidden + 2 * width + 3 * model.ffn / tp) / (0.8 * bandwidth)
    )  # what is element by element, of a token and layer
    assert eta is not None
    window, window_layers = (model.window.tokens, model.window.layers) if model.window else (0, 0)

    def product_s(weights: float, tokens: int, stored: float, rate: float) -> float:
        read_s, compute_s = (
            weights * stored / (eta.weight_bandwidth.bf16 * bandwidth * tp),
            2 * tokens * weights / (rate * tp),
        )
        return float((read_s**eta.knee + compute_s**eta.knee) ** (1 / eta.knee))

    def reduce_s(size: float) -> float:
        if tp == 1:
            return 0.0
        fit = device.collectives.all_reduce
        assert fit is not None
        assert fit.one_shot is not None
        one_shot_s = fit.one_shot.start_s + (tp - 1) * size / fit.one_shot.bandwidth_bytes_per_s
        return min(
            one_shot_s, fit.start_s + 2 * (tp - 1) / tp * size / fit.link_bandwidth_bytes_per_s
        )

    def step_s(contexts: list[int], prompts: list[tuple[int, int]], sampled: int) -> float:
        tokens = len(contexts) + sum(chunk for chunk, _ in prompts)
        added_s, least_s = 0.0, 0.0
        if size_of is not None:
            tokens, added_s, least_s = size_of(len(contexts), tokens, bool(prompts))
        elif prompts:
            least_s = overhead.step_s + model.layers * overhead.eager_layer_s
        total_s = overhead.step_s + overhead.sequence_s * sampled + added_s
        for layer in range(model.layers):
            windowed = layer < window_layers
            total_s += product_s(
                model.hidden * model.head_dim * (2 * model.heads + 2 * model.kv_heads),
                tokens,
                weight_bytes,
                compute_eta * peak,
            )
            total_s += product_s(
                3 * model.hidden * model.ffn, tokens, weight_bytes, compute_eta * peak
            )
            total_s += (
                overhead.layer_s
                + passed * tokens
                + 2 * overhead.collective * reduce_s(tokens * model.hidden * 2)
            )
            for context in contexts:
                seen = min(context, window) if windowed else context
                total_s += (
                    seen
                    * 2
                    * max(model.kv_heads / tp, 1)
                    * model.head_dim
                    * kv_bytes
                    / (eta.kv_bandwidth * bandwidth)
                )
            for chunk, past in prompts:
                for query in range(chunk):
                    seen = min(past + query + 1, window) if windowed else past + query + 1
                    total_s += (
                        seen
                        * 4
                        * model.heads
                        * model.head_dim
                        / tp
                        / (eta.attention_compute * device.peak.bf16_flop_per_s)
                    )
        if sampled:
            total_s += product_s(
                model.vocabulary * model.hidden,
                sampled,
                2.0,
                eta.compute.bf16 * device.peak.bf16_flop_per_s,
            )
        return max(total_s, least_s)

    return step_s


def pollaczek_khinchine_s(rate_per_s: float, service_s: Sequence[float]) -> float:
    """Mean wait of an M/G/1 queue: rate · E[S²] / (2 (1 - rate · E[S])). Kleinrock, Queueing
    Systems I, 5.7.
    """
    mean = sum(service_s) / len(service_s)
    square = sum(time_s**2 for time_s in service_s) / len(service_s)
    return rate_per_s * square / (2 * (1 - rate_per_s * mean))


def erlang_c_wait_s(servers: int, rate_per_s: float, mean_service_s: float) -> float:
    """Mean wait of an M/M/c queue. Kleinrock, Queueing Systems I, 3.5."""
    load = rate_per_s * mean_service_s
    last = load**servers / factorial(servers) * servers / (servers - load)
    waits = last / (sum(load**k / factorial(k) for k in range(servers)) + last)
    return waits * mean_service_s / (servers - load)


def blocked_fraction(load: float, places: int) -> float:
    """Share of arrivals that an M/M/1/K queue of K places in all refuses. Kleinrock, Queueing
    Systems I, 3.6.
    """
    weights = [load**inside for inside in range(places + 1)]
    return weights[-1] / sum(weights)


def supermarket_queue(load: float, choices: int) -> float:
    """Mean number at one of very many servers where each arrival joins the shortest of `choices`
    queues drawn at random.

    The share of servers with i or more is load^((d^i - 1)/(d - 1)). Mitzenmacher, IEEE TPDS 12(10),
    2001, eq. 3.
    """
    return sum(
        load ** sum(choices**power for power in range(length))
        for length in range(1, 60 if choices == 1 else 12)
    )
