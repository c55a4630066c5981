"""Which code knows which label, at what significance."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from .._random import spawn_seeds
from .._validation import (
    check_choice,
    check_groups,
    check_labels,
    check_number,
    record_features,
)
from ..metrics import mutual_information_gap
from ..metrics._bins import DEFAULT_BINS, check_bins
from ..metrics._histogram_information import BINNINGS, labels_by_rows
from ..metrics._permutation_null import CORRECTIONS
from ._label_information import (
    LabelInformation,
    PermutedLabels,
    exchange_stars,
    histogram_information,
    ksg_information,
)
from ._sigma_clip import clip_codes, clip_labels

_FEWEST_ROWS = 10


class MutualInfoScorer(BaseEstimator):
    """Mutual information of every code with every label, with a null by permutation.

    As an estimator, `fit` finds which latent knows which label. As a scorer,
    ``scoring=MutualInfoScorer(...)`` ranks anything with `transform` in a search.

    Parameters
    ----------
    bins : int or sequence of int, default=(5, 10, 20, 40, 80, 160)
        Scales: numbers of bins on both axes.
    sigma_clip : float or None, default=5.0
        Rows are left out whose label lies further than this many standard deviations from the
        median, in five rounds, as in the paper; with weight="stars" each star counts once. A
        round that would leave one value only, as of a label that is 1 in 3 % of the rows and 0 in
        the others, is not made; of other labels with a few rare values give None, which keeps all.
    clip_codes : bool, default=True
        Whether codes beyond `sigma_clip`, found likewise, are set to that limit; one stray code
        would otherwise squeeze all others into one bin. No row is lost. The paper does not.
    method : {"histogram", "ksg"}, default="histogram"
        "ksg" uses distances to neighbours instead of bins: one scale, slower by far.
    binning : {"width", "frequency"}, default="width"
        Bins of equal width, as in the paper, or of equally many rows.
    n_neighbors : int, default=3
        For "ksg".
    n_permutations : int, default=100
        The smallest p-value is 1 / (n_permutations + 1): for p < 0.001, give 1000 or more.
    correction : {"max", "holm", "none"}, default="max"
        For the number of latents. "max" compares with the largest statistic of all latents in
        each permutation: it knows how codes are correlated, and its smallest p-value does not
        grow with their number, as that of "holm" does.
    weight : {"stars", "spectra"}, default="stars"
        With `groups`, whether each star counts once, whatever its number of spectra, or each
        spectrum. Without, both are the same. "ksg" takes "spectra" only.
    quantiles : sequence of float, default=(0.5, 0.95, 0.99)
        Quantiles of the null that are kept.
    random_state : int, RandomState or None, default=None
        Seed of the permutations.

    Attributes
    ----------
    mi_ : ndarray of shape (n_labels, n_scales, n_latents)
        Mutual information in nats as it is counted, without a correction; `normalized_view` is
        the paper's picture of it. One scale for "ksg".
    mi_corrected_ : ndarray of shape (n_labels, n_scales, n_latents)
        An estimate of less bias, less its mean over the permutations; see Notes.
    information_ : ndarray of shape (n_labels, n_latents)
        Largest of `mi_corrected_` over the scales.
    null_mean_ : ndarray of shape (n_labels, n_scales, n_latents)
        What was taken off.
    null_best_ : ndarray of shape (n_labels,)
        Mean of the largest `information_` that chance gives to any latent; NaN for one permutation.
    null_quantiles_ : ndarray of shape (n_quantiles, n_labels, n_scales, n_latents)
        Quantiles over the permutations, to be compared with `mi_corrected_`.
    p_values_ : ndarray of shape (n_labels, n_scales, n_latents)
        Of each test alone.
    p_corrected_ : ndarray of shape (n_labels, n_scales, n_latents)
        Corrected for the number of latents, at each scale.
    p_latent_ : ndarray of shape (n_labels, n_latents)
        Corrected for the number of latents and of scales: the one to quote. No correction is
        made for the number of labels.
    best_latent_ : ndarray of int, shape (n_labels,)
        Latent of the largest `information_`; it means nothing where its p-value is large.
    best_latent_name_ : ndarray of str, shape (n_labels,)
        Its column in `X`, or "latent0", "latent1", ...
    entropy_ : ndarray of shape (n_labels, n_scales)
        Entropy of the label in its bins, in nats; for "ksg" in the finest of `bins`.
    gap_ : ndarray of shape (n_labels, n_scales)
        Mutual information gap: lead of the best latent in `mi_corrected_` over the second, over
        `entropy_`; NaN for a constant label and for "ksg", which no entropy in bins bounds.
    n_known_ : ndarray of int, shape (n_labels,)
        Rows that were used: known, not clipped, and left by the thinning of stars; see Notes.
    bins_ : tuple of int
        The scales; empty for "ksg".
    label_names_in_ : ndarray of str, shape (n_labels,)
        Columns of `y`, where it is a DataFrame.
    n_features_in_ : int
        Number of latents.
    feature_names_in_ : ndarray of str, shape (n_latents,)
        Columns of `X`, where it has names.

    See Also
    --------
    specvae.metrics.histogram_mutual_information : The numbers alone.
    specvae.estimators.MADSelector : Which latents move at all.

    Notes
    -----
    **Bias.** Counted shares make independent data look dependent: 4,061 rows give 1.0 nat at 160
    bins. `mi_corrected_` uses Grassberger's estimate of the entropies, which removes most of it
    whether or not there is dependence, less its mean over the permutations, which is the rest of
    it under independence. For bivariate normals of 20,000 rows with rho = 0.3, 0.6 and 0.9,
    `information_` is then off by 0.001, -0.002 and -0.011 nats on average, and the scale of 80 bins
    alone by as much, beside a scatter from sample to sample of 0.003 to 0.006. Coarse bins lose
    information (at rho = 0.9, 0.41 of 0.83 nats at 5 bins and 0.05 at 20); at 160 the dependence
    itself empties cells, and the null takes off too much (0.04). Where there is dependence every
    scale errs to the low side, which is why the largest is taken; of noise, that is slightly
    above 0. With unequal weights only the permutations' mean is taken off, and `information_` is
    a lower bound, at rho = 0.9 by 0.03.

    **Null.** The labels of whole stars are exchanged, between stars with equally many spectra.
    Spectra of a star then keep each other's company, as codes and as labels; permuting spectra
    would call clustered data dependent. For this, stars are thinned at random to the next lower of
    1, 2, 3, 4, 6, 8, 12, ... spectra or to a number that ten stars have. Larger ones than the
    median star's, of fewer than ten stars, are thinned on: such stars would meet their own labels
    so often that the null's mean held real dependence. A star without an equal is left out;
    `n_known_` tells what remains, whatever `weight`. The spectra of a star count as exchangeable: a
    code and a label that both drift with time within a star look dependent. Without `groups`, every
    spectrum is its own star. Few stars cannot give a small p-value, and with few rows in fine bins,
    where most permutations give the same value, it is on the high side.

    **As a scorer** it takes `null_best_` off: of many latents the best is large by chance. Noise
    then scores 0 on average, however many latents it has, and of two models whose best latents know
    as much that of fewer scores higher. P-values play no part: set `n_permutations` to 10 or 20.
    In a search the stars reach it only by scikit-learn's metadata routing, off by default; without,
    each spectrum silently counts as a star. Turn it on, as below or by
    ``sklearn.set_config(enable_metadata_routing=True)``, and give `groups` to the search's `fit`.
    An estimator that takes them too, as SpectralVAE, then wants ``set_fit_request(groups=True)``.

    References
    ----------
    Sedaghat, N., et al. 2021, MNRAS 501, 6026, section 4.2; Grassberger, P. 2008,
    arXiv:physics/0307138v2; Kraskov, A., Stoegbauer, H., Grassberger, P. 2004, Phys. Rev. E 69,
    066138; Westfall, P. H., Young, S. S. 1993, Resampling-Based Multiple Testing;
    Chen, R. T. Q., et al. 2018, arXiv:1802.04942.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> codes = rng.normal(size=(2000, 3))
    >>> teff_k = 5000.0 + 500.0 * codes[:, 1] + 100.0 * rng.normal(size=2000)
    >>> scorer = MutualInfoScorer(n_permutations=199, random_state=0).fit(codes, teff_k)
    >>> scorer.best_latent_name_
    array(['latent1'], dtype=object)
    >>> scorer.information_.round(2)  # log(26) / 2 = 1.63: so few rows fill too few bins
    array([[0.02, 1.49, 0.01]])
    >>> scorer.p_latent_
    array([[0.76 , 0.005, 0.825]])

    In a search, with four spectra of each star:

    >>> from sklearn import config_context
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.model_selection import GridSearchCV, GroupKFold
    >>> star = np.arange(500).repeat(4)
    >>> scoring = MutualInfoScorer(10, n_permutations=10, random_state=0)
    >>> search = GridSearchCV(PCA(), {"n_components": [1, 3]}, scoring=scoring, cv=GroupKFold(3))
    >>> with config_context(enable_metadata_routing=True):
    ...     search.fit(codes[star], teff_k[star], groups=star).best_params_
    {'n_components': 3}
    """

    def __init__(
        self,
        bins=DEFAULT_BINS,
        *,
        sigma_clip=5.0,
        clip_codes=True,
        method="histogram",
        binning="width",
        n_neighbors=3,
        n_permutations=100,
        correction="max",
        weight="stars",
        quantiles=(0.5, 0.95, 0.99),
        random_state=None,
    ):
        self.bins = bins
        self.sigma_clip = sigma_clip
        self.clip_codes = clip_codes
        self.method = method
        self.binning = binning
        self.n_neighbors = n_neighbors
        self.n_permutations = n_permutations
        self.correction = correction
        self.weight = weight
        self.quantiles = quantiles
        self.random_state = random_state

    def fit(self, X, y, *, groups=None):
        """Estimate the information and its null.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_latents)
            Codes, all finite.
        y : array-like or DataFrame of shape (n_spectra,) or (n_spectra, n_labels)
            Labels; NaN where unknown, and such rows are left out for that label. Of a constant
            label, as of a constant code, the information is 0 and the p-value 1.
        groups : array-like of shape (n_spectra,), optional
            Star of each spectrum.

        Returns
        -------
        self : MutualInfoScorer

        Raises
        ------
        ValueError
            If a code is not finite, lengths differ, a label is left with fewer than 10 rows or
            without two stars to exchange, or a parameter is none of those listed.
        """
        self._check_parameters()
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        codes = check_array(
            X, dtype=[np.float64, np.float32], ensure_min_samples=2, estimator=self, input_name="X"
        )
        labels, names = check_labels(y, len(codes))
        star = None if groups is None else check_groups(groups, len(codes))
        seed = spawn_seeds(self.random_state, 1)[0]
        bins = check_bins(self.bins)
        by_star = self.weight == "stars"
        known = labels.reshape(len(codes), -1)
        if self.sigma_clip is not None:
            known = clip_labels(known, self.sigma_clip, star if by_star else None)
        found: dict[int, LabelInformation] = {}
        for rows, columns in labels_by_rows(known):
            label = repr(names[columns[0]]) if names else str(columns[0])
            of_rows = None if star is None else star[rows]
            permutation = self._exchange(of_rows, len(rows), label, seed)
            used = rows[permutation.kept]
            tested = PermutedLabels(
                labels=known[np.ix_(used, columns)],
                permutation=permutation,
                n_permutations=self.n_permutations,
                seeds=[[seed, column] for column in columns],
                quantiles=np.atleast_1d(self.quantiles),
                correction=self.correction,
            )
            of_codes = codes[used]
            if self.sigma_clip is not None and self.clip_codes:
                counted = permutation.star_weight if by_star else None
                of_codes = clip_codes(of_codes, self.sigma_clip, counted)
            if self.method == "ksg":
                of_labels = ksg_information(of_codes, tested, self.n_neighbors, max(bins))
            else:
                of_labels = histogram_information(of_codes, tested, bins, self.binning, by_star)
            found.update(zip(columns, of_labels, strict=True))

        record_features(X, self)
        self._record(found, names, bins)
        return self

    def __call__(self, estimator, X, y=None, *, groups=None):
        """Score the codes of a fitted estimator.

        Parameters
        ----------
        estimator : object with `transform`
            Pipeline, PCA, SpectralVAE, ...
        X : array-like
            What it transforms, to shape (n_spectra, n_latents).
        y : array-like of shape (n_spectra,) or (n_spectra, n_labels)
        groups : array-like of shape (n_spectra,), optional

        Returns
        -------
        score : float
            In nats, higher is better: mean over the labels of the largest `information_` of any
            latent, less `null_best_`. This object stays as it is.

        Raises
        ------
        ValueError
            As `fit` does, and if the estimator has no `transform` or `n_permutations` is 1.
        """
        if not hasattr(estimator, "transform"):
            raise ValueError(
                f"{type(estimator).__name__} has no transform, which {type(self).__name__} needs "
                "to score its codes; give a transformer, or a Pipeline that ends in one."
            )
        check_number("n_permutations", self.n_permutations, minimum=2, integer=True)
        fitted = clone(self).fit(estimator.transform(X), y, groups=groups)
        return float((fitted.information_.max(axis=1) - fitted.null_best_).mean())

    def normalized_view(self):
        """Return the paper's view: `mi_` over the largest of each label and scale.

        Each row of latents then has a maximum of 1, or zeros throughout if no latent has any
        information. A row of noise looks as bright as a real one; `p_corrected_` tells them apart.

        Returns
        -------
        view : ndarray of shape (n_labels, n_scales, n_latents)
        """
        check_is_fitted(self)
        largest = self.mi_.max(axis=2, keepdims=True)
        return np.divide(self.mi_, largest, out=np.zeros_like(self.mi_), where=largest > 0)

    def get_metadata_routing(self):
        """Metadata that is requested; see scikit-learn's user guide.

        Returns
        -------
        routing : MetadataRequest
            `groups` reaches a call in a search without being asked for, where routing is on.
        """
        routing = super().get_metadata_routing()
        routing.score.add_request(param="groups", alias=True)
        return routing

    def __sklearn_is_fitted__(self):
        return hasattr(self, "mi_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags

    def _check_parameters(self):
        check_bins(self.bins)
        check_choice("method", self.method, ("histogram", "ksg"))
        check_choice("binning", self.binning, BINNINGS)
        check_choice("correction", self.correction, CORRECTIONS)
        check_choice("weight", self.weight, ("stars", "spectra"))
        check_number("n_permutations", self.n_permutations, minimum=1, integer=True)
        check_number("n_neighbors", self.n_neighbors, minimum=1, integer=True)
        if self.sigma_clip is not None:
            check_number("sigma_clip", self.sigma_clip, minimum=0, open_below=True)
        for quantile in np.atleast_1d(np.asarray(self.quantiles, dtype=object)):
            check_number("quantiles", quantile, minimum=0, maximum=1)

    def _exchange(self, star, n_rows, label, seed):
        fewest = max(_FEWEST_ROWS, self.n_neighbors + 2 if self.method == "ksg" else 0)
        rng = np.random.default_rng([seed, n_rows])
        permutation = exchange_stars(star, n_rows, rng, fewest=fewest, label=label)
        one_each = permutation.n_stars == len(permutation.kept)
        if self.method == "ksg" and self.weight == "stars" and not one_each:
            raise ValueError(
                "weight='stars' cannot be had from method='ksg', which counts neighbours; use "
                "weight='spectra', method='histogram', or one spectrum of each star."
            )
        return permutation

    def _record(
        self, found: dict[int, LabelInformation], names: Any, bins: tuple[int, ...]
    ) -> None:
        each = [found[column] for column in range(len(found))]
        self.bins_ = bins if self.method == "histogram" else ()
        self.n_known_ = np.array([one.n_rows for one in each])
        self.mi_corrected_ = np.stack([one.corrected for one in each])
        self.information_ = self.mi_corrected_.max(axis=1)
        self.null_mean_ = np.stack([one.test.mean for one in each])
        self.null_best_ = np.array([one.null_best for one in each])
        self.null_quantiles_ = np.stack([one.test.quantiles for one in each], axis=1)
        self.p_values_ = np.stack([one.test.p_single for one in each])
        self.p_corrected_ = np.stack([one.test.p_family for one in each])
        self.p_latent_ = np.stack([one.test.p_latent for one in each])
        self.entropy_ = np.stack([one.entropy for one in each])
        # What neighbours say is not bounded by an entropy in bins.
        bound = self.entropy_ if self.method == "histogram" else np.zeros_like(self.entropy_)
        self.gap_ = mutual_information_gap(self.mi_corrected_, bound)
        self.best_latent_ = self.information_.argmax(axis=1)
        latents = getattr(self, "feature_names_in_", None)
        if latents is None:
            latents = np.array([f"latent{i}" for i in range(self.n_features_in_)], dtype=object)
        self.best_latent_name_ = latents[self.best_latent_]
        if names is not None:
            self.label_names_in_ = np.array(names, dtype=object)
        elif hasattr(self, "label_names_in_"):
            del self.label_names_in_
        self.mi_ = np.stack([one.plug_in for one in each])
