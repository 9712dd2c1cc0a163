"""Serving engine: schedulers, KV cache, routing, admission and speculative decoding."""
