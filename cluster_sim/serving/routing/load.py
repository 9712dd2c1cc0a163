"""What a router sees of a replica."""

from typing import Protocol


class Load(Protocol):
    """The work that a replica has been given and has not finished, requests on their way to it
    included.
    """

    @property
    def number(self) -> int:
        """Its place among all replicas."""
        ...

    @property
    def requests(self) -> int:
        """Requests waiting or running."""
        ...

    def pending_tokens(self) -> int:
        """Prompt tokens still to be read and output tokens still to be written, as of this moment."""
        ...
