"""Clients: timeouts, retries with back-off and budget, hedges and users who leave."""

from cluster_sim.workload.clients.backoff import Backoff
from cluster_sim.workload.clients.budget_states import BudgetState, Unlimited
from cluster_sim.workload.clients.description import Clients, RetryReason, Timeouts
from cluster_sim.workload.clients.draws import ClientDraws, TryTimes

__all__ = [
    "Backoff",
    "BudgetState",
    "ClientDraws",
    "Clients",
    "RetryReason",
    "Timeouts",
    "TryTimes",
    "Unlimited",
]
