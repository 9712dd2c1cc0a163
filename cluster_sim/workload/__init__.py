"""What arrives: when, and how long prompts and answers are."""
