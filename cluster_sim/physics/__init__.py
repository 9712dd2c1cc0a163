"""Physics: numbers in, numbers out. No time that passes, no randomness, no files."""
