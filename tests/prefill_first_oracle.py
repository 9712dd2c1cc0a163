"""A brute-force engine whose steps prefill instead of decode: token after token, with plain loops.

It owes nothing to the program but the rules of SGLang: no clock, no heaps, no sums kept up to date.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

from tests.oracles import Blocks, Job, Limits, StepSeconds


@dataclass(frozen=True)
class Rules:
    """Settings of SGLang's scheduler."""

    max_prefill_tokens: int = 16_384
    mixed: bool = False
    conservativeness: float = 1.0
    ignore_eos: bool = False
    clip: int = 4096
    receive_interval: int = 1
    overlap: bool = False
    lpm: bool = False


@dataclass
class Ratio:
    """The share of remaining answers that is set aside for running requests."""

    first: float
    last: float
    set_to: float = field(init=False)
    steps: int = 0

    def __post_init__(self) -> None:
        self.set_to = self.first

    def value(self) -> float:
        return max(self.set_to - (self.first - self.last) / 600 * self.steps, self.last)

    def start(self, value: float) -> None:
        self.set_to, self.steps = max(value, self.last), 0


class Engine:
    """One engine that runs jobs step by step."""

    def __init__(self, limits: Limits, rules: Rules, step_s: StepSeconds) -> None:
        self.limits, self.rules, self.step_s = limits, rules, step_s
        self.waiting: list[Job] = []
        self.running: list[Job] = []  # decoding, in order of joining
        self.partial: Job | None = None
        self.is_full = False
        first = 1.0 if rules.ignore_eos else min(0.7 * rules.conservativeness, 1.0)
        self.ratio = Ratio(first, 1.0 if rules.ignore_eos else first * 0.14)
        self.blocks = Blocks(limits.blocks, limits.block_tokens)
        self.now_s = 0.0
        self.retractions = 0

    def run(self, jobs: Sequence[Job]) -> None:
        arriving, arrived = sorted(jobs, key=lambda job: job.arrival_s), []  # type: ignore[var-annotated]
        polls = self.rules.overlap or self.rules.receive_interval > 1
        counter = 0
        while arriving or arrived or self.waiting or self.running or self.partial:
            is_idle = not self.waiting and not self.running and not self.partial
            if is_idle and not arrived and arriving[0].arrival_s > self.now_s:
                self.ratio.start(self.ratio.first)
                self.now_s = arriving[0].arrival_s
            while arriving and arriving[0].arrival_s <= self.now_s:
                arrived.append(arriving.pop(0))
            if not polls or is_idle or (not self.rules.overlap and not counter):
                self.waiting += arrived
                arrived = []
            prefills = self.step()
            counter += 1000 if prefills else 1
            if counter >= self.rules.receive_interval:
                counter = 0
                if self.rules.overlap:  # those who were here when the step started
                    self.waiting += arrived
                    arrived = []

    def missing(self, job: Job) -> int:
        """Blocks that a decoding job needs for its next token."""
        return ceil((job.cached + 1) / self.limits.block_tokens) - len(job.table)

    def step(self) -> bool:
        """Run one step; return whether it prefills."""
        mixes = self.rules.mixed and bool(self.running)
        self.decodes_taken = False
        before = self.retractions
        chunks = self.prefill(mixes)
        decodes = list(self.running) if mixes or not chunks else []
        if not chunks:
            while len(decodes) > 1 and sum(map(self.missing, decodes)) > len(self.blocks.free):
                self.retract()
                decodes = list(self.running)
            self.after_retraction(before)
        if decodes and not self.decodes_taken:
            for job in decodes:
                assert self.blocks.take(job, job.cached + 1, job.cached)
        if not chunks and self.retractions == before:
            self.ratio.steps += 1
        contexts = [job.cached + 1 for job in decodes]
        done = [job for job, tokens in chunks if job.cached + tokens == job.reading]
        prompts = [(tokens, job.cached) for job, tokens in chunks]
        self.now_s += self.step_s(contexts, prompts, len(decodes) + len(done))
        for job in decodes:
            job.cached += 1
            self.answer(job)
        for job, tokens in chunks:
            job.cached += tokens
            if job.cached == job.reading:
                if self.limits.prefix_caching:
                    self.blocks.fill(job, job.reading)
                if job is self.partial:
                    self.partial = None
                self.running.append(job)
                self.answer(job)
            else:
                self.partial = job
        return bool(chunks)

    def answer(self, job: Job) -> None:
        """One more token; the last one ends the job."""
        job.made += 1
        job.token_times_s.append(self.now_s)
        if job.made == 1:
            job.first_s = self.now_s
        if job.made == job.output:
            job.finish_s = self.now_s
            self.running.remove(job)
            if self.limits.prefix_caching:
                self.blocks.fill(job, job.cached)
            self.blocks.give_back(job, again=False)
            self.is_full = False

    def retract(self) -> None:
        """The one with the fewest tokens, then with the longest prompt, then the newest, waits."""
        job = min(reversed(self.running), key=lambda job: (job.made, -job.prompt))
        self.running.remove(job)
        self.blocks.give_back(job, again=True)
        job.cached = 0
        self.waiting.append(job)
        self.retractions += 1
        job.was_preempted = True

    def after_retraction(self, before: int) -> None:
        if self.retractions > before:
            made = sum(job.made for job in self.running)
            answers = sum(job.most for job in self.running)
            self.ratio.start(min((made + 20 * len(self.running)) / (answers + 1), 1.0))
            self.is_full = False

    def sort(self) -> None:
        """The longest cached prefix first; the last ones begin as one before them, not cached yet."""
        found = [len(self.blocks.find(job)) * self.limits.block_tokens for job in self.waiting]
        ahead: list[Job] = []
        late: set[int] = set()
        for job, tokens in zip(self.waiting, found, strict=True):
            if tokens > 32:
                continue
            if any(shared(job, other) >= 32 for other in ahead):
                late.add(id(job))
            else:
                ahead.append(job)
        order = sorted(
            zip(self.waiting, found, strict=True),
            key=lambda pair: 1 if id(pair[0]) in late else -pair[1],
        )
        self.waiting = [job for job, _ in order]

    def prefill(self, mixes: bool) -> list[tuple[Job, int]]:
        """Chunks of a step that prefills, if there is one."""
        size, chunks = self.limits.block_tokens, []  # type: ignore[var-annotated]
        clip = self.rules.clip
        if self.partial is None and (not self.waiting or self.is_full):
            return chunks
        budget = self.limits.max_batched_tokens - (len(self.running) if mixes else 0)
        if self.limits.chunked and self.limits.max_batched_tokens >= size:
            budget = budget // size * size
        inputs = self.rules.max_prefill_tokens - (len(self.running) if mixes else 0)
        reserved = self.ratio.value() * sum(min(job.most - job.made, clip) for job in self.running)
        growth = sum(map(self.missing, self.running)) if mixes else 0
        if mixes and growth <= len(self.blocks.free):
            for job in self.running:
                self.blocks.take(job, job.cached + 1, job.cached)
            growth, self.decodes_taken = 0, True
        if self.rules.lpm and self.limits.prefix_caching:
            self.sort()
        before, had_running = self.retractions, bool(self.running)
        job = self.partial
        if job is not None:
            if budget <= 0:
                return chunks
            tokens = min(job.reading - job.cached, budget)
            more = ceil((job.cached + tokens) / size) - len(job.table)
            while more + growth > len(self.blocks.free):
                self.retract()
                if not self.decodes_taken:
                    growth = sum(map(self.missing, self.running))
            if not self.decodes_taken and self.retractions > before:
                for other in self.running:
                    self.blocks.take(other, other.cached + 1, other.cached)
                growth, self.decodes_taken = 0, True
            self.after_retraction(before)
            self.blocks.take(job, job.cached + tokens, job.cached)
            chunks.append((job, tokens))
            if job.cached + tokens < job.reading:
                return chunks
            budget -= ceil(tokens / size) * size
            inputs -= ceil(tokens / size) * size
            reserved += min(job.most, clip)
            self.is_full |= (len(self.blocks.free) - growth) * size <= reserved
        while (
            self.waiting
            and budget > 0
            and inputs > 0
            and not self.is_full
            and self.retractions == before
        ):
            job = self.waiting[0]
            in_batch = {id(job) for job in [*self.running, *(job for job, _ in chunks)]}
            if len(in_batch) >= self.limits.max_sequences:
                self.is_full = True
                break
            job.reading = job.prompt + job.made
            found = self.blocks.find(job) if self.limits.prefix_caching else []
            hit, unused = len(found) * size, sum(1 for block in found if not block.users)
            free = len(self.blocks.free) - growth - unused
            left = job.reading - hit
            needed = left + min(job.most - job.made, clip) + size
            if in_batch and needed + reserved > free * size:
                self.is_full = True
                break
            if chunks and ceil(left / size) * size >= inputs:
                break
            tokens = min(left, budget)
            if tokens < left and not self.limits.chunked:
                break
            if ceil(tokens / size) > free:
                self.is_full = True
                break
            for block in found:
                if not block.users:
                    self.blocks.free.remove(block)
                block.users += 1
            job.table = found
            self.blocks.take(job, hit + tokens, hit)
            job.cached, job.hit = hit, hit if job.hit is None else job.hit
            self.waiting.pop(0)
            chunks.append((job, tokens))
            budget -= ceil(tokens / size) * size
            inputs -= ceil(tokens / size) * size
            if tokens < left:
                self.partial = job
            else:
                reserved += min(job.most, clip)
            self.is_full |= (len(self.blocks.free) - growth) * size <= reserved
        if chunks and self.is_full:
            self.is_full = had_running and bool(self.running) and not mixes
        return chunks


def shared(job: Job, other: Job) -> int:
    """Tokens with which both prompts begin."""
    place = 0
    while place < min(job.prompt, other.prompt) and job.token(place) == other.token(place):
        place += 1
    return place
