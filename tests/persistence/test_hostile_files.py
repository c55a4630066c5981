import io
import json
import pickle
import tracemalloc

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

import specvae
from specvae.estimators import SpectralAutoencoder
from specvae.estimators._persistence._format import parse_json


@pytest.fixture(scope="module")
def fitted(flux, grid):
    return SpectralAutoencoder(
        2, encoder="dense", decoder="dense", grid=grid, max_epochs=1, random_state=0, device="cpu"
    ).fit(flux)


@pytest.fixture
def honest(fitted, tmp_path):
    path = tmp_path / "honest.safetensors"
    fitted.save(path)
    return path


def refused(path, reason):
    """Assert that a file is refused for a reason, and that the message names the file."""
    with pytest.raises(ValueError, match=reason) as caught:
        specvae.load(path, grid=None)
    assert str(caught.value).startswith(f"{path} cannot be loaded: ")


def header_of(path):
    data = path.read_bytes()
    n_header = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + n_header]), data[8 + n_header :]


def write_raw(path, header, body):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


class Bomb:
    """A pickle of it makes a file when it is read."""

    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return (open, (self.target, "w"))


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_pickle_does_not_run(protocol, tmp_path):
    bomb, target = Bomb(tmp_path / "made"), tmp_path / "made"
    path = tmp_path / "model"
    path.write_bytes(pickle.dumps(bomb, protocol=protocol))
    refused(path, "pickle|no model of specvae")
    assert not target.exists()
    pickle.loads(path.read_bytes()).close()
    assert target.exists()  # it would have


def test_file_of_torch_save_does_not_run(tmp_path):
    path, target = tmp_path / "model", tmp_path / "made"
    torch.save({"state_dict": Bomb(target)}, path)
    refused(path, "pickle or a file of torch.save")
    assert not target.exists()


def test_pickle_inside_an_honest_frame_does_not_run(forge, fitted, tmp_path):
    target = tmp_path / "made"
    payload = pickle.dumps(Bomb(target))
    forgery = forge(fitted)
    forgery.tensors["array.99"] = torch.frombuffer(bytearray(payload), dtype=torch.uint8)
    refused(forgery.write(tmp_path / "a"), "array.99 belongs to nothing")
    forgery.description["estimator"]["fitted"]["extra_"] = {
        "$objects": [payload.decode("latin1")],
        "shape": [1],
        "dtype": "|O",
    }
    del forgery.tensors["array.99"]
    assert isinstance(specvae.load(forgery.write(tmp_path / "b")).extra_[0], str)
    assert not target.exists()


@pytest.mark.parametrize("n_bytes", [0, 1, 7, 8, 9, 100, 5000])
def test_random_bytes(n_bytes, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(np.random.default_rng(n_bytes).bytes(n_bytes))
    refused(path, "no model of specvae|pickle")


def test_other_files(tmp_path):
    path = tmp_path / "model"
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(100))
    path.write_bytes(buffer.getvalue())
    refused(path, "no model of specvae")
    save_file({"a": torch.zeros(3)}, path)
    refused(path, "its header does not say so")
    save_file({"a": torch.zeros(3)}, path, {"specvae": "{}"})
    refused(path, "holds no model of specvae")
    write_raw(path, b"\xff" * 20, b"")
    refused(path, "no safetensors file")
    write_raw(path, b"[1, 2]", b"")
    refused(path, "no safetensors file")
    with pytest.raises(FileNotFoundError):
        specvae.load(tmp_path / "nothing")


def test_every_truncation_is_refused(honest, tmp_path):
    data, path = honest.read_bytes(), tmp_path / "model"
    n_header = int.from_bytes(data[:8], "little")
    for n_bytes in (0, 5, 8, 50, n_header, n_header + 8, n_header + 9, len(data) // 2):
        path.write_bytes(data[:n_bytes])
        refused(path, "truncated|no model")
    path.write_bytes(data[:-1])
    refused(path, "truncated: 1 bytes are missing")
    path.write_bytes(data + b"more")
    refused(path, "4 bytes follow its last tensor")


def test_every_edit_is_noticed(honest, tmp_path):
    data, path = honest.read_bytes(), tmp_path / "model"
    n_header = int.from_bytes(data[:8], "little")
    places = np.random.default_rng(0).integers(8, len(data), size=60)
    for place in (*places, n_header + 8, len(data) - 1):
        edited = bytearray(data)
        edited[place] ^= 1
        path.write_bytes(bytes(edited))
        with pytest.raises(ValueError, match="cannot be loaded"):
            specvae.load(path)
    edited = data.replace(b'\\"max_epochs\\": 1,', b'\\"max_epochs\\": 2,')
    assert edited != data
    path.write_bytes(edited)
    refused(path, "sha256 is not that of its contents")
    header, body = header_of(honest)
    del header["__metadata__"]["sha256"]
    refused(write_raw(path, header, body), "sha256")


def test_renamed_tensors_are_noticed(honest, tmp_path):
    header, body = header_of(honest)
    first, second = "network0.encoder.body.2.bias", "network0.encoder.body.2.weight"
    header[first], header[second] = header[second], header[first]
    refused(write_raw(tmp_path / "model", header, body), "sha256")


@pytest.mark.parametrize("version", [3, 0, -1, "2", None, 1.5, True, 2.0])
def test_other_version_of_the_format(version, forge, fitted, tmp_path):
    forgery = forge(fitted)
    forgery.description["version"] = version
    refused(forgery.write(tmp_path / "model"), "of the format, this specvae reads 2: upgrade")


def test_older_version_of_the_format(forge, fitted, tmp_path):
    forgery = forge(fitted)
    forgery.description["version"] = 1
    wanted = "version 1 of the format, of an older specvae, and this one reads 2: fit or convert"
    refused(forgery.write(tmp_path / "model"), wanted)


@pytest.mark.parametrize("announced", [2**64 - 1, 2**40, 65 * 2**20])
def test_oversized_header_is_refused_before_memory_is_taken(announced, tmp_path):
    path = tmp_path / "model"
    with open(path, "wb") as file:
        file.write(announced.to_bytes(8, "little"))
        file.truncate(min(announced, 80 * 2**20))  # sparse
    tracemalloc.start()
    refused(path, "announces a header of")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def wrong_entries():
    yield "dtype", {"dtype": "F99"}, "entry of tensor .* is wrong"
    yield "negative", {"shape": [-1, 4]}, "entry of tensor .* is wrong"
    yield "fraction", {"shape": [2.0]}, "entry of tensor .* is wrong"
    yield "truth", {"shape": [True]}, "entry of tensor .* is wrong"
    yield "huge", {"shape": [10**12, 10**12]}, "does not fit its"
    yield "backwards", {"data_offsets": [128, 0]}, "does not fit its"
    yield "three offsets", {"data_offsets": [0, 1, 2]}, "do not fit together|values to unpack"
    yield "no shape", {"shape": None}, "do not fit together"
    yield "overlap", {"data_offsets": [4, 132]}, "overlap or leave gaps"


@pytest.mark.parametrize(
    "change, reason", [pytest.param(*case[1:], id=case[0]) for case in wrong_entries()]
)
def test_wrong_entry_of_the_header(change, reason, honest, tmp_path):
    header, body = header_of(honest)
    name = "network0.encoder.body.4.bias"
    if "data_offsets" in change and change["data_offsets"] == [4, 132]:
        begin, end = header[name]["data_offsets"]
        change = {"data_offsets": [begin + 4, end + 4]}
    header[name].update(change)
    refused(write_raw(tmp_path / "model", header, body), reason)


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "a/b", "a\\b", "..", "a..b", ".hidden", "", "a b", "a\n"]
)
def test_names_that_are_paths(name, honest, fitted, tmp_path):
    header, body = header_of(honest)
    header[name] = header.pop("network0.encoder.body.4.bias")
    refused(write_raw(tmp_path / "model", header, body), "words joined by dots")


def test_names_that_come_twice(honest, tmp_path):
    header, body = header_of(honest)
    text = json.dumps(header)
    twice = text[:-1] + ', "array.0": ' + json.dumps(header["array.0"]) + "}"
    refused(write_raw(tmp_path / "model", twice.encode(), body), "'array.0' comes twice")
    with pytest.raises(ValueError, match="'a' comes twice"):
        parse_json('{"b": {"a": 1, "a": 2}}')


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format": NaN}', "9" * 5000, "nonsense", "[]"])
def test_description_that_is_no_description(text, forge, fitted, tmp_path):
    forgery = forge(fitted)
    refused(forgery.write(tmp_path / "model", text=text), "cannot be loaded")


def change_class(tree):
    tree["$estimator"] = "os.system"


def change_to_search(tree):
    tree["$estimator"] = "FunctionTransformer"


def change_parameter(tree):
    tree["parameters"]["callback"] = 1


def change_place(tree):
    tree["parameters"]["checkpoint_path"] = "/etc/passwd"


def change_value(tree):
    tree["parameters"]["latent_dim"] = -3


def change_to_more_latents(tree):
    tree["parameters"]["latent_dim"] = 10**12


def change_network(tree):
    tree["parameters"]["encoder"] = "conv"


def change_network_class(tree):
    tree["parameters"]["encoder"] = {"$module": "subprocess.Popen"}


def change_method(tree):
    tree["fitted"]["transform"] = "x"


def change_dunder(tree):
    tree["fitted"]["__class__"] = "x"


def change_net(tree):
    tree["fitted"]["net_"] = "x"


def change_own_parameter(tree):
    tree["fitted"]["latent_dim"] = 3


def change_kind(tree):
    tree["fitted"]["extra_"] = {"$call": "os.system"}


def change_to_missing_tensor(tree):
    tree["fitted"]["extra_"] = {"$array": "array.77", "by_columns": False}


def change_to_second_use(tree):
    tree["fitted"]["extra_"] = {"$array": "array.0", "by_columns": False}


def change_dtype(tree):
    tree["fitted"]["extra_"] = {"$scalar": "O", "value": 1}


def change_width(tree):
    tree["fitted"]["extra_"] = {"$objects": ["a"], "shape": [1], "dtype": "<U100000000"}


def change_unit(tree):
    tree["network"]["unit"] = -1.0


def change_tensors(tree):
    tree["network"]["tensors"] = "network5"


def change_grid(tree):
    tree["fitted"]["grid_"]["$grid"]["start_aa"] = -1.0


def change_grid_arguments(tree):
    tree["fitted"]["grid_"]["$grid"]["colour"] = "red"


CHANGES = {
    change_class: "names the class 'os.system', which is not among",
    change_to_search: "names the class 'FunctionTransformer', which is not among",
    change_parameter: "no parameter callback",
    change_place: "no parameter checkpoint_path that a file may set",
    change_value: "latent_dim must be an integer >= 1",
    change_to_more_latents: "do not fit together|it has|its network has",
    change_network: "tensors are not those of its network",
    change_network_class: "class subprocess.Popen, which is not part of specvae",
    change_method: "cannot have learnt 'transform'",
    change_dunder: "cannot have learnt '__class__'",
    change_net: "cannot have learnt 'net_'",
    change_own_parameter: "cannot have learnt 'latent_dim'",
    change_kind: r"unknown kind '\$call'",
    change_to_missing_tensor: "array.77 is missing or used twice",
    change_to_second_use: "array.0 is missing or used twice",
    change_dtype: "'O' is no kind of number",
    change_width: "'<U100000000' is no kind of number",
    change_unit: "unit of flux is -1.0",
    change_tensors: "do not fit together",
    change_grid: "start_aa must be a positive wavelength",
    change_grid_arguments: "do not fit together",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_forged_description_with_a_sum_that_fits(change, forge, fitted, tmp_path):
    forgery = forge(fitted)
    change(forgery.description["estimator"])
    refused(forgery.write(tmp_path / "model"), CHANGES[change])


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda value: value[:-1], "its network has"),
        (lambda value: value.double(), "is torch.float64 of shape"),
        (lambda value: value * torch.nan, "hold NaN or infinity"),
        (lambda value: value + torch.inf, "hold NaN or infinity"),
        (None, "1 are missing"),
    ],
)
def test_forged_weights_with_a_sum_that_fits(change, reason, forge, fitted, tmp_path):
    forgery = forge(fitted)
    name = "network0.decoder.body.0.bias"
    value = forgery.tensors.pop(name)
    if change is not None:
        forgery.tensors[name] = change(value)
    refused(forgery.write(tmp_path / "model"), reason)


def test_forged_shape_that_takes_no_bytes(forge, fitted, tmp_path):
    forgery = forge(fitted)
    forgery.tensors["network0.scaler.mean"] = torch.empty((10**12, 0))
    refused(forgery.write(tmp_path / "model"), r"scaler.mean of shape \(1000000000000, 0\) is no")


def test_forged_mask_and_unknown_tensor(forge, fitted, tmp_path):
    forgery = forge(fitted)
    honest = forgery.tensors["network0.scaler.seen"]
    forgery.tensors["network0.scaler.seen"] = (2 * honest.to(torch.uint8)).view(torch.bool)
    refused(forgery.write(tmp_path / "model"), "neither true nor false")
    forgery.tensors["network0.scaler.seen"] = honest
    forgery.tensors["network0.more"] = torch.zeros(1)
    refused(forgery.write(tmp_path / "model"), r"1 are unknown \(more\)")


def test_metadata_that_are_no_text(honest, tmp_path):
    header, body = header_of(honest)
    header["__metadata__"]["more"] = 3
    refused(write_raw(tmp_path / "model", header, body), "do not fit together")


def test_cache_of_a_pipeline_is_not_kept_nor_taken(forge, tmp_path):
    path = tmp_path / "model"
    fitted = make_pipeline(PCA(1), Ridge(), memory=str(tmp_path / "cache"))
    specvae.save(fitted.fit(np.eye(4), np.arange(4)), path)
    assert specvae.load(path).memory is None
    forgery = forge.read(path)
    forgery.description["estimator"]["parameters"]["memory"] = "/tmp"
    refused(forgery.write(path), "no parameter memory that a file may set")


def test_an_honest_forgery_is_loaded(forge, fitted, flux, tmp_path):
    """The files above are refused for what was changed, not because they were put together."""
    loaded = specvae.load(forge(fitted).write(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.transform(flux), fitted.transform(flux))
