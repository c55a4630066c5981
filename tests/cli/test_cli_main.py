import os
import subprocess
import sys

import pytest

from specvae import cli
from specvae.cli import main
from specvae.cli._parser import make_parser

COMMANDS = ("pack", "info", "fit", "encode", "predict", "card", "explore")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit) as done:
        main([command, "--help"])
    assert done.value.code == 0
    assert f"examples:\n  specvae {command} " in capsys.readouterr().out


def test_help_without_heavy_imports():
    code = "import sys; from specvae.cli._parser import make_parser; make_parser().format_help()"
    heavy = f"{code}; print(sorted({{'torch', 'astropy', 'sklearn', 'pandas'}} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True)
    assert found.stdout == "[]\n", found.stderr


def test_examples_of_the_help_can_be_parsed(capsys):
    lines = [line for line in make_parser().format_help().splitlines() if line[:10] == "  specvae "]
    for command in COMMANDS:
        with pytest.raises(SystemExit):
            main([command, "--help"])
        lines += [
            line for line in capsys.readouterr().out.splitlines() if line[:10] == "  specvae "
        ]
    assert len(lines) > 12
    for line in lines:
        words = line.partition(">")[0].split()[1:]
        assert make_parser().parse_args(words).module


@pytest.mark.parametrize(
    "line", ["", "bogus", "pack a.fits", "fit stars.npy", "fit s --to m --model x"]
)
def test_a_command_line_without_sense_exits_with_two(line, capsys):
    with pytest.raises(SystemExit) as done:
        main(line.split())
    assert done.value.code == 2 and "usage: specvae" in capsys.readouterr().err


def test_an_error_is_one_line_and_exit_code_one(specvae):
    code, out, err = specvae("info none.npy")
    assert code == 1 and out == ""
    assert err.startswith("specvae: none.json does not exist") and err.count("\n") == 1
    with pytest.raises(FileNotFoundError):
        specvae("info none.npy --traceback")


def test_a_fault_of_the_program_keeps_its_traceback(specvae, monkeypatch):
    monkeypatch.setattr(cli, "load", None, raising=False)
    monkeypatch.setattr("specvae.cli._describe.SpectraArray.open", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        specvae("info stars.npy")


def test_ctrl_c_exits_with_130_and_says_how_to_go_on(specvae, monkeypatch):
    def stop(*arguments, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr("specvae.cli._pack.pack_spectra", stop)
    code, _, err = specvae("pack a.fits --to b.npy --grid harps")
    assert (code, err) == (
        130,
        "specvae: interrupted. Repeat the same command to go on from where it stopped.\n",
    )


def test_ctrl_c_while_modules_are_imported_is_no_traceback(specvae, monkeypatch):
    def stop(name):
        raise KeyboardInterrupt

    monkeypatch.setattr("specvae.cli._main.importlib.import_module", stop)
    code, _, err = specvae("info stars.npy")
    assert (code, err) == (130, "specvae: interrupted. Nothing was written.\n")


def test_the_installed_command_and_the_module(folder):
    for words in (["specvae"], [sys.executable, "-m", "specvae"]):
        if words == ["specvae"]:
            words = [os.path.join(os.path.dirname(sys.executable), "specvae")]
        done = subprocess.run(
            [*words, "info", "stars.npy"], cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert "36 spectra of 48 pixels" in done.stdout


def test_a_reader_that_has_enough_is_no_error(folder):
    line = f"{sys.executable} -m specvae info stars.npy | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True)
    assert done.stdout in ("0\n", "141\n") and done.stderr == ""


def test_info_says_what_a_store_and_a_model_hold(specvae, model):
    code, out, _ = specvae("info stars.npy")
    assert code == 0
    for text in ("36 spectra of 48 pixels", "48 pixels from 5160.00", "float32", "12, by position"):
        assert text in out
    code, out, _ = specvae(f"info {model}")
    assert code == 0
    for text in ("MedianNormalizer, SpectralRegressor", "teff_k (K), logg_dex (dex)", "2 epochs"):
        assert text in out


def test_card_is_markdown(specvae, model):
    code, out, _ = specvae(f"card {model}")
    assert code == 0 and out.startswith("# MedianNormalizer and SpectralRegressor\n\n## Data")
