"""Published claims beside what the simulator finds under each reading, with verdicts."""
