"""Settings of every test: no deadlines, since a shared machine may stand still for a while."""

from hypothesis import settings

settings.register_profile("cluster-sim", deadline=None)
settings.load_profile("cluster-sim")
