"""Queue orders, in which waiting requests are admitted; a new order is a file and a name below."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

from cluster_sim.serving.scheduler.queue_orders.first_come import FirstComeQueue
from cluster_sim.serving.scheduler.queue_orders.priority import priority_queue
from cluster_sim.serving.scheduler.queue_orders.shortest_first import shortest_first_queue
from cluster_sim.serving.scheduler.request_queue import RequestQueue

QueueOrder = Literal["fcfs", "priority", "shortest_first"]

QUEUE_ORDERS: Mapping[QueueOrder, Callable[[], RequestQueue]] = MappingProxyType(
    {
        "fcfs": FirstComeQueue,
        "priority": priority_queue,
        "shortest_first": shortest_first_queue,
    }
)
"""Functions that return an empty queue, by name of the order."""
