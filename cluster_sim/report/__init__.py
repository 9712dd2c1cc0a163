"""Runs as others read them: traces, and the files of benchmark clients."""
