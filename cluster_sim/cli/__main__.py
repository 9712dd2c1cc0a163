"""Run the command line as `python -m cluster_sim.cli`."""

from cluster_sim.cli.app import main

if __name__ == "__main__":
    main()
