"""What a serving engine decides: schedulers, KV cache, routing, admission, speculation."""
