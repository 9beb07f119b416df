"""A user's own space from a Python file."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from search.errors import BuilderError, SearchError
from search.spaces.choices import Option, annotated_choices, named_choices
from search.spaces.user import UserSpace


def load_space(
    path: str | Path,
    name: str,
    image_shape: tuple[int, int, int],
    classes: int,
    choices: Mapping[str, Sequence[Option]] | None = None,
) -> UserSpace:
    """The space of a function in a Python file, which is run. Its folder is where it may import from, last of all.

    Args:
        path: the file.
        name: of the function, or of a space made by :func:`space`.
        image_shape: (C, H, W) of the images that there are.
        classes: that there are.
        choices: options of each parameter, for a function that is not annotated.

    Raises:
        BuilderError: no such file, one that cannot be run, no such function, choices that are none, or a space of
            other images or classes.
    """
    file = Path(path)
    loaded = _loaded(file, name, image_shape, classes, choices)
    loaded.loaded_by = load_space, (str(file.resolve()), name, image_shape, classes, choices)
    return loaded


def _loaded(
    file: Path,
    name: str,
    image_shape: tuple[int, int, int],
    classes: int,
    choices: Mapping[str, Sequence[Option]] | None,
) -> UserSpace:
    found = getattr(_imported(file), name, None)
    where = f"{file.name}:{name}"
    if isinstance(found, UserSpace):
        if choices:
            raise BuilderError(f"{where} has choices of its own", "leave out `choices`")
        if (found.image_shape, found.classes) != (tuple(image_shape), classes):
            raise BuilderError(
                f"{where} is for images {found.image_shape} and {found.classes} classes; the data has "
                f"{tuple(image_shape)} and {classes}",
                "change its @space(...), or leave the decorator away: then it follows the data",
            )
        return found
    if not callable(found):
        raise BuilderError(f"{file} has no function {name}", "write FILE.py:FUNCTION as they are called there")
    try:
        taken = named_choices(found, choices) if choices else annotated_choices(found)
        return UserSpace(found, taken, image_shape, classes)
    except BuilderError as error:
        raise BuilderError(f"{where}: {error.message}", error.remedy) from error


def _imported(file: Path) -> ModuleType:
    if not file.is_file():
        raise BuilderError(f"there is no file {file}", "name the Python file that holds the function")
    called = f"own_space_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]}"
    specification = importlib.util.spec_from_file_location(called, file)
    if specification is None or specification.loader is None:
        raise BuilderError(f"{file} is no Python file", "its name ends in .py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[called] = module  # dataclasses look their module up
    # At the end: no file of theirs must stand in the way of a library.
    sys.path.append(str(file.resolve().parent))
    try:
        specification.loader.exec_module(module)
    except SearchError as error:
        raise BuilderError(f"{file}: {error.message}", error.remedy) from error
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BuilderError(f"{file} cannot be run: {reason}", f"see what `python {file}` says") from error
    finally:
        sys.path.remove(str(file.resolve().parent))
    return module
