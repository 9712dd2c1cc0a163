"""The KV cache of a replica: blocks, what stays findable in them, and memory behind them."""
