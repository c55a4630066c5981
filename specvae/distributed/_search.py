"""Searches whose fits run on the workers of a cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import joblib

from .._optional import import_optional
from ..spectra import SpectraArray
from ._keep import check_client, keep


@contextmanager
def search_backend(client: Any) -> Iterator[None]:
    """Run what scikit-learn does in parallel on a dask cluster, safe against killed workers.

    Inside the context `GridSearchCV`, `RandomizedSearchCV`, `cross_validate` and all else that
    uses joblib send their fits to the workers of `client`. Of a `SpectraArray` the path and the
    row numbers travel, not the spectra: every worker reads the rows that its fits need.

    Parameters
    ----------
    client : distributed.Client
        Connected to a scheduler. Needs the extra `distributed`.

    Yields
    ------
    None

    Raises
    ------
    TypeError
        If `client` is no such client or is asynchronous.
    ImportError
        If dask is missing.

    See Also
    --------
    transform_archive : Encode or predict an archive on a cluster.

    Notes
    -----
    This is joblib's own backend, ``joblib.parallel_config(backend="dask")``, but for one thing.
    joblib scatters arguments of more than a kilobyte, such as labels and row numbers, to one
    worker, and a search of more than some hundred spectra fails with a `FutureCancelledError` when
    that worker is killed. Here the scheduler keeps them, and the fits of a killed worker are
    repeated elsewhere.

    The store must have the same path on all workers and specvae must be installed there. The
    scores are those of the same search without a cluster as long as torch uses as many threads.
    dask gives each worker process one, unless the estimator has another `n_threads`. Start workers
    with one thread each, ``threads_per_worker=1``: torch has its threads for the whole process.
    With ``refit=True`` the last fit runs where the search was called.

    Examples
    --------
    >>> import numpy as np
    >>> from distributed import Client, LocalCluster
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import GridSearchCV
    >>> flux = np.random.default_rng(0).random((30, 4))
    >>> search = GridSearchCV(Ridge(), {"alpha": [1e-3, 10.0]}, cv=3)
    >>> with (
    ...     LocalCluster(processes=False, dashboard_address=":0") as cluster,
    ...     Client(cluster) as client,
    ...     search_backend(client),
    ... ):
    ...     search = search.fit(flux, flux.sum(axis=1))
    >>> search.best_params_
    {'alpha': 0.001}
    """
    check_client(client, "search_backend")
    sizeof = import_optional("dask.sizeof", caller="search_backend", extra="distributed").sizeof
    # By it joblib decides what travels once and what with every task.
    sizeof.register(SpectraArray, _pickled_bytes)
    with joblib.parallel_config(backend="dask", client=_KeepingClient(client)):
        yield


class _KeepingClient:
    """A client that keeps what it is asked to scatter.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: Any):
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def scatter(self, data: Any, **_: Any) -> Any:
        """Return a future of `data`."""
        return keep(self._client, data)


def _pickled_bytes(spectra: SpectraArray) -> int:
    """About how many bytes travel with a lazy matrix: numbers of rows, scales, rows in memory."""
    store = spectra._store
    scale = getattr(store, "scale", None)
    parts = (spectra.store_rows, scale, getattr(store, "nbytes", 0))
    return sum(part if isinstance(part, int) else getattr(part, "nbytes", 0) for part in parts)
