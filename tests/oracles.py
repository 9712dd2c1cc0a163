"""Answers that owe nothing to the program: textbook formulas, and a brute-force engine that makes token after token.

The engine keeps each request's tokens in plain integers, counts blocks by looking at every sequence at every step, and adds
the time of a step up from the data sheet's terms. No SimPy, no closed forms, no heaps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil, factorial

from cluster_sim.hardware import Device
from cluster_sim.model import Model


@dataclass
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


@dataclass(frozen=True)
class Limits:
    """What bounds the engine's steps."""

    blocks: int
    block_tokens: int
    max_sequences: int
    max_batched_tokens: int
    chunked: bool


# (contexts of decoding sequences, (chunk, past) of each prompt, tokens sampled) -> seconds
StepSeconds = Callable[[list[int], list[tuple[int, int]], int], float]


def serve_token_by_token(jobs: Sequence[Job], limits: Limits, step_s: StepSeconds) -> None:
    """Run all jobs to their end on one engine, as vLLM V1 schedules them; times are filled in."""
    arriving = sorted(jobs, key=lambda job: job.arrival_s)
    waiting: list[Job] = []
    running: list[Job] = []
    now_s = 0.0

    def held(job: Job, tokens: int) -> int:
        return ceil(tokens / limits.block_tokens)

    while arriving or waiting or running:
        if not waiting and not running:
            now_s = max(now_s, arriving[0].arrival_s)
        while arriving and arriving[0].arrival_s <= now_s:
            waiting.append(arriving.pop(0))
        taken = {id(job): held(job, job.cached) for job in running}
        budget, preempted = limits.max_batched_tokens, False
        step: list[tuple[Job, int]] = []
        place = 0
        while place < len(running):
            job = running[place]
            tokens = min(job.reading - job.cached, budget)
            fits = False
            while not fits:
                others = sum(blocks for known, blocks in taken.items() if known != id(job))
                fits = others + held(job, job.cached + tokens) <= limits.blocks
                if not fits:
                    victim = running.pop()
                    preempted = True
                    del taken[id(victim)]
                    victim.cached, victim.reading, victim.decodes = 0, victim.prompt + victim.made, False
                    waiting.insert(0, victim)
                    if victim is job:
                        break
            if not fits:
                break
            taken[id(job)] = held(job, job.cached + tokens)
            step.append((job, tokens))
            budget -= tokens
            place += 1
        while waiting and budget > 0 and not preempted and len(running) < limits.max_sequences:
            job = waiting[0]
            job.reading = job.prompt + job.made
            tokens = min(job.reading, budget)
            if tokens < job.reading and not limits.chunked:
                break
            if sum(taken.values()) + held(job, tokens) > limits.blocks:
                break
            waiting.pop(0)
            running.append(job)
            taken[id(job)] = held(job, tokens)
            step.append((job, tokens))
            budget -= tokens
        decoding = [job.cached + 1 for job, _ in step if job.decodes]
        prompts = [(tokens, job.cached) for job, tokens in step if not job.decodes]
        sampled = sum(1 for job, tokens in step if job.cached + tokens == job.reading)
        now_s += step_s(decoding, prompts, sampled)
        for job, tokens in step:
            job.cached += tokens
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


def gpu_step_s(model: Model, device: Device, tp: int, weight_bytes: float, kv_bytes: float, compute_eta: float, peak: float) -> StepSeconds:
    """A step's time as the sum of its terms, dense grouped-query models with or without windows, one pipeline stage."""
    eta, bandwidth, overhead = device.efficiency, device.memory.bandwidth_bytes_per_s, device.overheads["default"]
    width = (model.heads + 2 * model.kv_heads) / tp * model.head_dim
    passed = 2 * (8 * model.hidden + 2 * width + 3 * model.ffn / tp) / (0.8 * bandwidth)  # what is element by element, of a token and layer
    assert eta is not None
    window, window_layers = (model.window.tokens, model.window.layers) if model.window else (0, 0)

    def product_s(weights: float, tokens: int, stored: float, rate: float) -> float:
        read_s, compute_s = weights * stored / (eta.weight_bandwidth.bf16 * bandwidth * tp), 2 * tokens * weights / (rate * tp)
        return float((read_s**eta.knee + compute_s**eta.knee) ** (1 / eta.knee))

    def reduce_s(size: float) -> float:
        if tp == 1:
            return 0.0
        fit = device.collectives.all_reduce
        assert fit is not None
        assert fit.one_shot is not None
        one_shot_s = fit.one_shot.start_s + (tp - 1) * size / fit.one_shot.bandwidth_bytes_per_s
        return min(one_shot_s, fit.start_s + 2 * (tp - 1) / tp * size / fit.link_bandwidth_bytes_per_s)

    def step_s(contexts: list[int], prompts: list[tuple[int, int]], sampled: int) -> float:
        tokens = len(contexts) + sum(chunk for chunk, _ in prompts)
        total_s = overhead.step_s + overhead.sequence_s * sampled
        for layer in range(model.layers):
            windowed = layer < window_layers
            total_s += product_s(model.hidden * model.head_dim * (2 * model.heads + 2 * model.kv_heads), tokens, weight_bytes, compute_eta * peak)
            total_s += product_s(3 * model.hidden * model.ffn, tokens, weight_bytes, compute_eta * peak)
            total_s += overhead.layer_s + passed * tokens + 2 * overhead.collective * reduce_s(tokens * model.hidden * 2)
            for context in contexts:
                seen = min(context, window) if windowed else context
                total_s += seen * 2 * max(model.kv_heads / tp, 1) * model.head_dim * kv_bytes / (eta.kv_bandwidth * bandwidth)
            for chunk, past in prompts:
                for query in range(chunk):
                    seen = min(past + query + 1, window) if windowed else past + query + 1
                    total_s += seen * 4 * model.heads * model.head_dim / tp / (eta.attention_compute * device.peak.bf16_flop_per_s)
        if sampled:
            total_s += product_s(model.vocabulary * model.hidden, sampled, 2.0, eta.compute.bf16 * device.peak.bf16_flop_per_s)
        return max(total_s, overhead.step_s + model.layers * overhead.eager_layer_s) if prompts else total_s

    return step_s


def pollaczek_khinchine_s(rate_per_s: float, service_s: Sequence[float]) -> float:
    """Mean wait of an M/G/1 queue: rate · E[S²] / (2 (1 - rate · E[S])). Kleinrock, Queueing Systems I, 5.7."""
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
    """Share of arrivals that an M/M/1/K queue of K places in all refuses. Kleinrock, Queueing Systems I, 3.6."""
    weights = [load**inside for inside in range(places + 1)]
    return weights[-1] / sum(weights)


def supermarket_queue(load: float, choices: int) -> float:
    """Mean number at one of very many servers where each arrival joins the shortest of `choices` queues drawn at random.

    The share of servers with i or more is load^((d^i - 1)/(d - 1)). Mitzenmacher, IEEE TPDS 12(10), 2001, eq. 3.
    """
    return sum(load ** sum(choices**power for power in range(length)) for length in range(1, 60 if choices == 1 else 12))
