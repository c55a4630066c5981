"""Data that many tasks on a cluster need, kept so that no worker can take it away."""

import uuid
from typing import Any

from .._optional import import_optional


class Kept:
    """Gives back what it was made of; a class of a module, so that it pickles.

    Parameters
    ----------
    thing : object
        Anything that pickles. Tasks look for futures in lists and dictionaries, not in this.
    """

    def __init__(self, thing: Any):
        self.thing = thing

    def __call__(self) -> Any:
        return self.thing


def keep(client: Any, thing: Any) -> Any:
    """Return a future of `thing`, for tasks to take as an argument.

    It is sent as a task, once: workers pass it on to each other, and the scheduler runs the task
    again where a worker takes the last copy with it. What `Client.scatter` sent is lost then, and
    so are all tasks that wait for it; copies do not help, since the scheduler removes those that
    it finds superfluous.
    """
    dask = import_optional("dask", caller="specvae.distributed", extra="distributed")
    # The scheduler keeps it, which dask advises against; that it does is the purpose here.
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GB"}):
        key = f"specvae-{type(thing).__name__}-{uuid.uuid4().hex}"
        return client.submit(Kept(thing), key=key, pure=False)


def check_client(client: Any, caller: str) -> None:
    """Raise unless `client` is a client of dask that waits for its results.

    Raises
    ------
    TypeError
        If it is something else.
    ImportError
        If dask is missing.
    """
    distributed = import_optional("distributed", caller=caller, extra="distributed")
    if not isinstance(client, distributed.Client) or client.asynchronous:
        what = "an asynchronous client" if isinstance(client, distributed.Client) else repr(client)
        raise TypeError(
            f"client must be a distributed.Client that is not asynchronous, got {what}; make one "
            "with distributed.Client('address of the scheduler')."
        )
