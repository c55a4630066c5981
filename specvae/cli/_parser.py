"""What can be said on the command line; nothing heavy is imported to say it."""

import argparse
from pathlib import Path

import specvae

DESCRIPTION = "Representation learning for stellar spectra, from FITS files to a table of labels."
EXAMPLES = """\
examples, from FITS files to labels:
  specvae pack night/*.fits --to stars.npy --grid harps
  specvae info stars.npy
  specvae fit stars.npy --to stars.specvae --labels catalogue.csv --by object=name --folds 5
  specvae predict stars.specvae new.npy --to labels.csv
  specvae encode stars.specvae new.npy --to codes.csv
  specvae card stars.specvae > README.md
  specvae explore stars.specvae stars.npy --labels catalogue.csv --by object=name

pack, fit, encode and predict go on where they were interrupted when the same command is repeated.
"""
_GO_ON = "Repeat the same command to go on from where it stopped."
_AGAIN = "Nothing was written."

MODELS = ("autoencoder", "vae", "semi-supervised", "regressor", "pca")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="specvae",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"specvae {specvae.__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    for add in (_add_pack, _add_info, _add_fit, _add_encode, _add_predict, _add_card, _add_explore):
        add(commands)
    return parser


def _add(
    commands: argparse._SubParsersAction,
    name: str,
    module: str,
    summary: str,
    examples: str,
    after_interrupt: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(module=module, command=name, after_interrupt=after_interrupt)
    parser.add_argument("--traceback", action="store_true", help="show where an error came from")
    return parser


def _add_pack(commands: argparse._SubParsersAction) -> None:
    parser = _add(
        commands,
        "pack",
        "pack",
        "put FITS files on one wavelength grid, into a store that is read row by row",
        "  specvae pack night/*.fits.gz --to stars.npy --grid harps --half\n"
        "  specvae pack --list files.txt --to stars.npy --grid 5000:0.05:6000 --skip-unreadable",
        _GO_ON,
    )
    parser.add_argument("files", nargs="*", type=Path, help="FITS files, plain or compressed")
    parser.add_argument("--list", type=Path, help="text file with one path in each line")
    parser.add_argument("--to", type=Path, required=True, help="the .npy file to write")
    parser.add_argument(
        "--grid",
        required=True,
        help="harps, apogee, or START:STEP:PIXELS in Angstrom of air; add :vacuum for vacuum and "
        ":log for steps in log10",
    )
    parser.add_argument("--half", action="store_true", help="float16: half the space and time")
    parser.add_argument(
        "--skip-unreadable", action="store_true", help="leave out files that are refused, and warn"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes that read; -1 for all cores")


def _add_info(commands: argparse._SubParsersAction) -> None:
    parser = _add(
        commands,
        "info",
        "describe",
        "say what a store or a model holds",
        "  specvae info stars.npy\n  specvae info stars.specvae",
        _AGAIN,
    )
    parser.add_argument("path", type=Path, help="a store or a model")


def _add_card(commands: argparse._SubParsersAction) -> None:
    parser = _add(
        commands,
        "card",
        "describe",
        "describe a model in Markdown, to publish beside its file",
        "  specvae card stars.specvae > README.md",
        _AGAIN,
    )
    parser.add_argument("path", type=Path, help="a model")


def _add_fit(commands: argparse._SubParsersAction) -> None:
    parser = _add(
        commands,
        "fit",
        "fit",
        "train a pipeline on a store, and save it",
        "  specvae fit stars.npy --to code.specvae --model vae --latents 16\n"
        "  specvae fit stars.npy --to stars.specvae --labels table.csv --target teff_k --folds 5\n"
        "  specvae fit stars.npy --to stars.specvae --labels table.csv --recipe recipe.toml\n"
        "  specvae fit stars.npy --to stars.specvae --model pca --print-recipe > recipe.toml",
        _GO_ON,
    )
    parser.add_argument("store", type=Path, help="a store, as `specvae pack` writes it")
    parser.add_argument("--to", type=Path, required=True, help="the model to write")
    parser.add_argument(
        "--recipe", type=Path, help="TOML with the steps of the pipeline; see --print-recipe"
    )
    parser.add_argument(
        "--print-recipe", action="store_true", help="print the recipe of these options, and stop"
    )
    parser.add_argument(
        "--model",
        choices=MODELS,
        help="autoencoder (default), vae and pca give a code, off which least squares read the "
        "labels; semi-supervised and regressor predict them themselves, with uncertainties",
    )
    parser.add_argument("--latents", type=int, help="size of the code (default 8)")
    parser.add_argument("--network", choices=("conv", "resnet", "dense"), help="default conv")
    parser.add_argument("--epochs", type=int, help="at most so many (default 100)")
    parser.add_argument(
        "--mask",
        action="append",
        metavar="LOW:HIGH",
        help="wavelengths in Angstrom to leave out; may be repeated. On the HARPS grid the gap and "
        "the padding are left out anyway",
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn (default 0)")
    parser.add_argument("--device", help="cpu, cuda or auto (default)")
    labels = parser.add_argument_group("labels")
    labels.add_argument(
        "--labels", type=Path, help="table (CSV, TSV, ECSV, FITS, VOTable or Parquet)"
    )
    labels.add_argument(
        "--by",
        metavar="file|object[=COLUMN]",
        help="what a row of the table belongs to: a file by its name, or all spectra of a star; "
        "and the column with that name (default: the one called file or object)",
    )
    labels.add_argument(
        "--target",
        action="append",
        metavar="COLUMN",
        help="a label to learn; may be repeated (default: all columns of numbers but row, mjd, "
        "ra_deg and dec_deg). End names in their units: teff_k, logg_dex, rv_kms",
    )
    labels.add_argument(
        "--folds",
        type=int,
        help="first cross-validate by star in so many folds, beside a constant and PCA",
    )


def _add_encode(commands: argparse._SubParsersAction) -> None:
    parser = _add(
        commands,
        "encode",
        "apply",
        "write the code of each spectrum",
        "  specvae encode stars.specvae archive.npy --to codes.csv\n"
        "  specvae encode stars.specvae archive.npy --to codes.npy",
        _GO_ON,
    )
    _add_application(parser)


def _add_predict(commands: argparse._SubParsersAction) -> None:
    parser = _add(
        commands,
        "predict",
        "apply",
        "write the labels of each spectrum, with uncertainties where the model states them",
        "  specvae predict stars.specvae archive.npy --to labels.csv\n"
        "  specvae predict stars.specvae archive.npy --to labels.parquet",
        _GO_ON,
    )
    _add_application(parser)


def _add_application(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="a model, as `specvae fit` writes it")
    parser.add_argument("store", type=Path, help="a store on the model's grid")
    parser.add_argument(
        "--to",
        type=Path,
        required=True,
        help="table to write: .csv, .ecsv (with units), .fits (with units), .parquet (with units); "
        ".npy for the numbers alone",
    )
    parser.add_argument(
        "--keep-going",
        action="store_true",
        help="write NaN for spectra that cannot be used, and warn",
    )
    parser.add_argument("--device", help="cpu, cuda or auto (default: as trained)")
    parser.add_argument("--block-rows", type=int, help="spectra computed at a time")


def _add_explore(commands: argparse._SubParsersAction) -> None:
    parser = _add(
        commands,
        "explore",
        "explore",
        "open a page in the browser: latent map, spectra, sliders for what the model learnt",
        "  specvae explore stars.specvae stars.npy --labels catalogue.csv --by object=name\n"
        "  specvae explore stars.specvae archive.npy --codes codes.npy --no-browser\n"
        "  specvae explore stars.specvae stars.npy --host 0.0.0.0 --token A-LONG-SECRET",
        "Repeat the same command; with --codes it goes on from where it stopped.",
    )
    parser.add_argument("model", type=Path, help="a model with a code, as `specvae fit` writes it")
    parser.add_argument("store", type=Path, help="a store on the model's grid")
    parser.add_argument("--labels", type=Path, help="table to colour the map, as for `specvae fit`")
    parser.add_argument(
        "--by",
        metavar="file|object[=COLUMN]",
        help="what a row of the table belongs to, as for `specvae fit`",
    )
    parser.add_argument(
        "--target",
        action="append",
        metavar="COLUMN",
        help="a label to show; may be repeated (default: all columns of numbers)",
    )
    parser.add_argument(
        "--codes",
        type=Path,
        metavar="FILE.npy",
        help="where the codes are kept: computed at the first call, read at the next. By default "
        "they are computed at each",
    )
    parser.add_argument("--port", type=int, default=5006, help="default 5006; 0 takes a free one")
    parser.add_argument(
        "--host",
        default="localhost",
        help="address to listen on (default localhost: this machine alone); others need a token",
    )
    parser.add_argument(
        "--token",
        help="secret that visitors must have in their link; or in the variable SPECVAE_TOKEN, "
        "where other users of the machine cannot read it",
    )
    parser.add_argument(
        "--origin",
        action="append",
        metavar="NAME:PORT",
        help="further address under which browsers reach the page, as of a proxy; may be repeated",
    )
    parser.add_argument("--no-browser", action="store_true", help="open no browser")
    parser.add_argument("--device", help="cpu, cuda or auto (default: as trained)")
