"""What a network must beat: scikit-learn regressors for rows without gaps, one label at a time."""

from sklearn.decomposition import PCA
from sklearn.dummy import DummyRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from specvae.estimators import PartialLabelRegressor

__all__ = ["constant", "gaussian_process", "pca_gaussian_process", "pca_least_squares"]


def constant() -> PartialLabelRegressor:
    """Return the median of each label: what is known without looking at a spectrum."""
    return PartialLabelRegressor(DummyRegressor(strategy="median"))


def pca_least_squares(n_components: int) -> Pipeline:
    """Return least squares on principal components."""
    components = PCA(n_components, random_state=0)
    return make_pipeline(SimpleImputer(), components, PartialLabelRegressor(LinearRegression()))


def gaussian_process(length_scale: float = 10.0) -> Pipeline:
    """Return a Gaussian process with one length for all standardised features."""
    kernel = ConstantKernel(1.0) * RBF(length_scale) + WhiteKernel(0.1)
    process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    return make_pipeline(StandardScaler(), process)


def pca_gaussian_process(n_components: int) -> Pipeline:
    """Return a Gaussian process on standardised principal components."""
    components = PCA(n_components, random_state=0)
    return make_pipeline(SimpleImputer(), components, PartialLabelRegressor(gaussian_process()))
