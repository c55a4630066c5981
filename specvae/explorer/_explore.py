"""The explorer as a notebook shows it, and as a server."""

import webbrowser
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from .._optional import import_optional
from .._validation import check_number
from ..spectra import WavelengthGrid
from ._exhibit import Exhibit, make_exhibit

_NEEDS = ("panel", "bokeh", "datashader")


def check_extra(caller: str) -> None:
    """Raise unless what draws the page is installed."""
    for name in _NEEDS:
        import_optional(name, caller=caller, extra="explorer")


class Explorer:
    """A page that notebooks show: from a server on this machine, in a thread of this process.

    Made by `explore`. A notebook that runs on another machine than the browser does not reach it;
    bring the port here, or use ``servable`` there.

    Parameters
    ----------
    exhibit : Exhibit
        What is shown.

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> flux = [[1.0, 0.5, 1.0], [1.0, 0.9, 1.0], [0.9, 0.7, 1.0]]
    >>> page = explore(PCA(2).fit(flux), flux)
    >>> page.show(open_browser=False)  # doctest: +ELLIPSIS
    'http://localhost:...'
    >>> page.stop()
    """

    def __init__(self, exhibit: Exhibit):
        self._exhibit = exhibit
        self._address = ""
        self._stop: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return f"Explorer({self._exhibit.title})"

    def show(self, port: int = 0, *, open_browser: bool = True) -> str:
        """Serve the page until `stop` or the end of this process.

        Parameters
        ----------
        port : int, default=0
            0 takes any that is free. The first call decides.
        open_browser : bool, default=True
            Whether to open it in a browser.

        Returns
        -------
        address : str
        """
        from ._serve import serve_on_thread

        if self._stop is None:
            self._address, self._stop = serve_on_thread(self._exhibit, port=port)
        if open_browser:
            webbrowser.open(self._address)
        return self._address

    def stop(self) -> None:
        """End the server, if there is one."""
        if self._stop is not None:
            self._stop()
        self._stop = None

    def servable(self) -> Any:
        """Make it the page of the script that ``panel serve`` runs.

        Returns
        -------
        view : panel.Column
        """
        from ._page import Page

        import_optional("panel", caller="servable", extra="explorer").extension("tabulator")
        return Page(self._exhibit).view.servable()

    def _repr_html_(self) -> str:
        address = self.show(open_browser=False)
        return (
            f'<iframe src="{address}" title="specvae explorer" '
            'style="width: 100%; height: 820px; border: 1px solid #cccccc"></iframe>'
        )


def explore(
    estimator: Any,
    X: Any,
    labels: Any = None,
    *,
    meta: pd.DataFrame | None = None,
    groups: Any = None,
    codes: Any = None,
    conditions: Any = None,
    grid: WavelengthGrid | None = None,
    n_sliders: int = 8,
    random_state: int | None = 0,
) -> Explorer:
    """Make a page with map, spectra and sliders, for a notebook.

    Parameters
    ----------
    estimator : fitted estimator or Pipeline
        `SpectralAutoencoder`, `SpectralVAE`, `SemiSupervisedVAE`, `AdversarialAutoencoder`, PCA, or
        anything with `transform` and `inverse_transform`. Of a pipeline that goes on to labels the
        steps up to the code count. Flux is shown as the last of them sees it.
    X : array-like or SpectraArray of shape (n_spectra, n_pixels)
        Flux, as the estimator takes it; of a `SpectraArray` only the spectra that are shown are
        read, once there are codes.
    labels : DataFrame or array-like of shape (n_spectra, n_labels), optional
        To colour the map, and to name the latents that know them. NaN where unknown.
    meta : DataFrame of n_spectra rows, optional
        Its columns `object`, or else `path`, name the spectra; see `specvae.spectra.read_meta`.
    groups : array-like of shape (n_spectra,), optional
        Star of each spectrum, by which chance is told from knowledge when latents are named.
    codes : array-like of shape (n_spectra, n_latents), str or Path, optional
        Codes that were computed before, or the .npy file of ``specvae encode``: NaN in rows that
        the model cannot use. By default they are computed.
    conditions : array-like of shape (n_spectra, n_conditions), optional
        For an `AdversarialAutoencoder`; by default the columns of `labels` with their names.
    grid : WavelengthGrid, optional
        Pixels of the flux that is shown; by default as the estimator or `X` knows them.
    n_sliders : int, default=8
        At most so many, though never fewer than there are labels in the code.
    random_state : int or None, default=0
        Seed of the permutations and of the sample on which latents are named.

    Returns
    -------
    page : Explorer
        The last line of a cell shows it; ``page.show()`` opens it in a tab of its own, and
        ``page.servable()`` gives it to ``panel serve``.

    Raises
    ------
    ImportError
        If the extra `explorer` is not installed.
    ValueError
        If the estimator has no code that can be decoded, or something does not fit.

    See Also
    --------
    serve : The same on a port, for many visitors.
    specvae.inspection.traverse : What the sliders do, as arrays.

    Notes
    -----
    Sliders go from the 1 % to the 99 % quantile of the spectra's codes. Labels in the code of a
    `SemiSupervisedVAE` come first, in their units; then the latents that move most, of a
    variational model those with a median absolute deviation above 0.02. Beside each stands the
    label of which it has most mutual information, on 5,000 spectra at most, if permuted stars
    reach as much in less than 1 % of all cases.

    The nearest spectrum is that at the smallest Euclidean distance in units of the code.

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> from specvae.simulation import simulate_spectra
    >>> from specvae.spectra import WavelengthGrid
    >>> grid = WavelengthGrid(5160.0, 0.2, 200)
    >>> stars = simulate_spectra(60, grid, random_state=0)
    >>> page = explore(PCA(3).fit(stars.flux), stars.flux, stars.labels, grid=grid)
    >>> page
    Explorer(60 spectra in the code of a PCA)
    """
    check_extra("explore")
    check_number("n_sliders", n_sliders, minimum=1, integer=True)
    exhibit = make_exhibit(
        estimator,
        X,
        labels,
        meta=meta,
        groups=groups,
        codes=codes,
        conditions=conditions,
        grid=grid,
        n_sliders=n_sliders,
        random_state=random_state,
    )
    return Explorer(exhibit)


def serve(
    estimator: Any,
    X: Any,
    labels: Any = None,
    *,
    port: int = 5006,
    host: str = "localhost",
    token: str | None = None,
    origins: Sequence[str] = (),
    show: bool = True,
    **known: Any,
) -> None:
    """Serve the page of `explore` until Ctrl-C.

    Parameters
    ----------
    estimator, X, labels
        As for `explore`.
    port : int, default=5006
        0 takes any that is free.
    host : str, default="localhost"
        Address to listen on. Any other lets other machines in, and wants a token. There is no
        encryption: over a network that is not yours leave it at localhost and come through a
        tunnel, ``ssh -L 5006:localhost:5006 host``.
    token : str, optional
        Whoever opens the page must know it, at least 8 characters.
    origins : sequence of str, optional
        Further "name:port" under which browsers may reach the page, such as that of a proxy.
    show : bool, default=True
        Whether to open a browser.
    **known
        The other parameters of `explore`.

    Raises
    ------
    ImportError
        If the extra `explorer` is not installed.
    ValueError
        If other machines could come in without a token, or as for `explore`.
    OSError
        If the port is taken.

    Notes
    -----
    Visitors see the same spectra, and nothing that one does reaches another. No file is served by
    name: spectra are read by their row.

    Examples
    --------
    >>> serve(None, None, host="0.0.0.0")
    Traceback (most recent call last):
    ValueError: host 0.0.0.0 lets other machines in; give a token as well ...
    """
    check_extra("serve")
    from ._serve import check_host  # needs the extra

    check_host(host, token)
    exhibit = make_exhibit(estimator, X, labels, **known)
    serve_exhibit(exhibit, port=port, host=host, token=token, origins=origins, show=show)


def serve_exhibit(exhibit: Exhibit, *, show: bool, **where: Any) -> None:
    """Serve what was made before; the rest is for `make_server`."""
    from ._page import Page
    from ._serve import make_server

    Page(exhibit)  # compiles and imports what the first visitor would wait for
    server, address = make_server(exhibit, **where)
    print(f"The explorer is at {address}\nCtrl-C ends it.", flush=True)
    if show:
        webbrowser.open(address)
    try:
        server.start()
        server.io_loop.start()  # until Ctrl-C
    finally:
        server.stop()
