"""First scenarios, written from a few answers or from the result of a benchmark client."""

from cluster_sim.drafts.answers import OPTIONS, Answers, Option, answers_of
from cluster_sim.drafts.draft import Draft, draft
from cluster_sim.drafts.recorded import Recorded, recorded

__all__ = [
    "OPTIONS",
    "Answers",
    "Draft",
    "Option",
    "Recorded",
    "answers_of",
    "draft",
    "recorded",
]
