"""All docstrings of the core as pages: `python docs/api.py`, into the folder `api`, or one that is named."""

import sys
from pathlib import Path
from pkgutil import walk_packages

sys.path.insert(0, str(Path(__file__).parents[1]))

import deepforcing

LEFT_OUT = ("deepforcing.__main__", "deepforcing.tiny")  # a command, and a folder of weights


def modules() -> list[str]:
    """The package, whose public names are there from now on, and every module in it."""
    vars(deepforcing).update({name: getattr(deepforcing, name) for name in deepforcing.__all__})
    found = walk_packages(deepforcing.__path__, "deepforcing.")
    return ["deepforcing", *(module.name for module in found if not module.name.startswith(LEFT_OUT))]


def main(folder: str = "api") -> None:
    import pdoc

    pdoc.render.configure(docformat="markdown", show_source=True)
    pdoc.pdoc(*modules(), output_directory=Path(folder))
    print(Path(folder) / "deepforcing.html")


if __name__ == "__main__":
    main(*sys.argv[1:])
