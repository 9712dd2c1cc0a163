"""Traffic: arrival times of requests, and lengths of prompts and answers."""
