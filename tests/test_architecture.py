"""The layers: each may import only itself and those before it."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import specvae

PACKAGE = Path(specvae.__file__).parent
FOUNDATION = {
    "exceptions",
    "_device",
    "_memory",
    "_optional",
    "_progress",
    "_random",
    "_validation",
}
LAYERS = [
    "spectra",
    "simulation",
    "preprocessing",
    "networks",
    "metrics",
    "estimators",
    "model_selection",
    "inspection",
    "plotting",
    "distributed",
    "explorer",
    "demo",
    "cli",
    "__main__",
]
# Layers that use less than all that comes before them.
NARROW = {
    "simulation": {"spectra"},
    "preprocessing": {"spectra"},
    "networks": set(),
    "metrics": {"spectra"},
    "model_selection": {"metrics", "spectra"},
    "plotting": {"inspection"},
    "distributed": {"spectra"},
}
# Packages that a layer, or one module of it, may import. matplotlib and dask stand nowhere: an
# extra is imported by name where it is used. Modules of the explorer that are nothing without its
# extra are imported only after that was checked, and may name it.
OUTSIDE = {
    "_device": {"torch"},
    "_progress": {"tqdm"},
    "_random": {"numpy", "sklearn", "torch"},
    "_validation": {"numpy", "sklearn"},
    "spectra": {"astropy", "joblib", "numpy", "pandas", "scipy"},
    "simulation": {"numpy", "pandas", "scipy", "sklearn"},
    "preprocessing": {"numpy", "sklearn"},
    "networks": {"torch"},
    "metrics": {"numpy", "pandas", "scipy", "sklearn"},
    "estimators": {"numpy", "pandas", "sklearn", "torch"},
    "estimators/_net": {"numpy", "pandas", "skorch", "torch"},
    "model_selection": {"numpy", "pandas", "sklearn"},
    "inspection": {"numpy", "pandas", "sklearn"},
    "plotting": {"numpy"},
    "distributed": {"joblib", "numpy", "pandas", "sklearn", "torch"},
    "explorer": {"astropy", "numpy", "pandas", "sklearn"},
    "explorer/_controls": {"bokeh", "pandas", "panel"},
    "explorer/_map": {"bokeh", "numpy", "pandas"},
    "explorer/_page": {"numpy", "panel"},
    "explorer/_points": {"datashader", "numpy", "pandas"},
    "explorer/_serve": {"panel", "tornado"},
    "explorer/_slider_box": {"bokeh", "panel"},
    "explorer/_spectrum_panel": {"bokeh", "numpy"},
    "demo": {"numpy", "pandas", "sklearn"},
    "cli": {"astropy", "numpy", "pandas", "sklearn"},
}
FILES = sorted(PACKAGE.rglob("*.py"))


def may_import(importer: str, imported: str) -> bool:
    """Whether `importer` may use `imported`, both layers or foundation modules."""
    if imported in FOUNDATION or importer == imported:
        return True
    if importer in FOUNDATION or imported not in LAYERS:
        return False
    if importer in NARROW:
        return imported in NARROW[importer]
    return LAYERS.index(imported) < LAYERS.index(importer)


def imported_names(path: Path, *, everything: bool = False) -> set[str]:
    """Layers and foundation modules that a file of the package imports; or all packages."""
    inside, outside = set(), set()
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top, *rest = alias.name.split(".")
                inside.update(rest[:1]) if top == "specvae" else outside.add(top)
        elif isinstance(node, ast.ImportFrom):
            parts = (node.module or "").split(".") if node.module else []
            if node.level == 0:
                if parts[0] == "specvae":
                    inside.update(parts[1:2] or [alias.name for alias in node.names])
                else:
                    outside.add(parts[0])
            elif node.level == depth:  # from the package itself
                inside.update(parts[:1] or [alias.name for alias in node.names])
    return outside if everything else inside


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path):
    layer = layer_of(path)
    if layer == "__init__":
        assert imported_names(path) == set()
        return
    assert layer in FOUNDATION or layer in LAYERS, f"{path} belongs to no layer"
    forbidden = {name for name in imported_names(path) if not may_import(layer, name)}
    assert not forbidden


def test_may_import_knows_up_from_down():
    assert may_import("inspection", "metrics")
    assert not may_import("plotting", "metrics")
    assert may_import("estimators", "networks")
    assert not may_import("spectra", "estimators")
    assert not may_import("networks", "spectra")
    assert not may_import("_validation", "spectra")


def test_imported_names_sees_every_form_of_import(tmp_path, monkeypatch):
    file = tmp_path / "layer" / "_module.py"
    file.parent.mkdir()
    file.write_text(
        "import torch.nn\nimport specvae.metrics\nfrom specvae.spectra import X\n"
        "from ..networks import Y\nfrom .. import exceptions\nfrom ._neighbour import Z\n"
    )
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    assert imported_names(file) == {"metrics", "spectra", "networks", "exceptions"}
    assert imported_names(file, everything=True) == {"torch"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_outside_packages_stay_in_their_layers(path):
    outside = imported_names(path, everything=True) - set(sys.stdlib_module_names)
    where = str(path.relative_to(PACKAGE)).removesuffix(".py")
    assert outside <= OUTSIDE.get(where, OUTSIDE.get(layer_of(path), set())), outside


@pytest.mark.parametrize("layer", [name for name in LAYERS if (PACKAGE / name).is_dir()])
def test_all_is_sorted_and_true(layer):
    module = importlib.import_module(f"specvae.{layer}")
    # Constants, then classes, then functions, as the linter sorts them.
    key = lambda name: (not name.isupper(), name[0].islower(), name)  # noqa: E731
    assert list(module.__all__) == sorted(module.__all__, key=key)
    assert all(hasattr(module, name) for name in module.__all__)
    assert layer in specvae.__all__


def test_layers_load_when_they_are_first_used():
    code = (
        "import sys, specvae\n"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules\n"
        "assert specvae.spectra.HARPS_GRID.n_pixels == 327680\n"
        "assert 'torch' not in sys.modules\n"
        "try:\n    specvae.nonsense\n"
        "except AttributeError as error:\n    assert 'nonsense' in str(error)\n"
        "else:\n    raise AssertionError\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
