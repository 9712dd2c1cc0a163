"""Published claims, the simulated value of each reading, and verdicts."""
