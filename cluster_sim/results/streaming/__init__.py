"""Streams of answers: times of tokens, chunks as clients receive them, and gaps between chunks."""
