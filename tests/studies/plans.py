"""Scenario file with a small plan."""

SMALL_PLAN = """
name: small
seed: 3
duration: 20 s
model: llama-3.1-8b
workload:
  arrivals: {process: poisson, rate: 20 /s}
  prompt_tokens: 600
  output_tokens: 100
slo: {ttft: 400 ms, tpot: 20 ms, percentile: 95}
cluster:
  pools:
    - name: gpu
      node: dgx-h100
      replica: {weights: fp8}
plan:
  vary: {pools.gpu.nodes: [1, 2], pools.gpu.replica.tensor_parallel: [1, 2, 8]}
"""
