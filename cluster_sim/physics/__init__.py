"""Physics of engine steps, power and heat: functions of numbers, no time, randomness or files."""
