"""Many simulations for one answer: sweeps, fair comparisons, capacity."""
