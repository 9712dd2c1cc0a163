"""Studies: many simulations for one answer, such as sweeps, paired comparisons and capacity."""
