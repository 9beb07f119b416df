"""The choices of a user's own space: their options, how an option is written, and when a choice counts."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.errors import BuilderError

Option = bool | int | float | str

#: What a builder may ask for besides choices: the space knows it.
GIVEN = ("image_shape", "classes")
_REMEDY = "a choice holds different numbers, texts, or true and false: Choice(8, 16, 32)"


@dataclass(frozen=True, init=False)
class Choice:
    """One choice among a few: the annotation of a builder's parameter.

    ::

        def build(depth: Choice(2, 3, 4), last_kernel: Choice(3, 5, when=lambda depth: depth > 2)) -> nn.Module: ...

    Attributes:
        options: what the parameter can be.
        when: does the choice count? A function of parameters that stand before this one, by their names. Where it
            says no, the builder gets the first option, and networks that differ in this choice alone are one.
    """

    options: tuple[Option, ...]
    when: Callable[..., bool] | None

    def __init__(self, *options: Option, when: Callable[..., bool] | None = None) -> None:
        if not options:
            raise BuilderError("a choice has no options", _REMEDY)
        for option in options:
            if not isinstance(option, bool | int | float | str) or option == "":
                raise BuilderError(f"{option!r} is no option of a choice", _REMEDY)
            if isinstance(option, float) and not math.isfinite(option):
                raise BuilderError(f"{option!r} is no option of a choice", _REMEDY)
        if len(set(options)) < len(options):
            raise BuilderError(f"the same option twice: {', '.join(map(repr, options))}", _REMEDY)
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "when", when)

    @property
    def numeric(self) -> bool:
        """Are its options numbers, so that there is a between?"""
        return all(isinstance(option, int | float) and not isinstance(option, bool) for option in self.options)


def written(name: str, option: Option) -> str:
    """A choice taken, as a part of an architecture's text: ``width16``, ``dropout0p5``, ``act_relu``."""
    if isinstance(option, bool):
        return f"{name}_{'yes' if option else 'no'}"
    if isinstance(option, str):
        return f"{name}_{re.sub('[^A-Za-z0-9_]', '_', option)}"
    return name + str(option).replace("-", "m").replace("+", "").replace(".", "p")


def tokens(choices: Mapping[str, Choice]) -> dict[str, tuple[int, int]]:
    """Which choice and which option each part of a text stands for.

    Raises:
        BuilderError: two options are written alike, or a name cannot be.
    """
    found: dict[str, tuple[int, int]] = {}
    for place, (name, choice) in enumerate(choices.items()):
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
            raise BuilderError(f"the name of the choice {name!r} cannot be part of a file's name", "use a-z, 0-9 and _")
        for index, option in enumerate(choice.options):
            token = written(name, option)
            if token in found:
                other, taken = found[token]
                clash = f"{list(choices)[other]}={list(choices.values())[other].options[taken]!r}"
                raise BuilderError(f"{name}={option!r} and {clash} are both written {token}", "name one differently")
            found[token] = place, index
    return found


def annotated_choices(function: Callable[..., Any]) -> dict[str, Choice]:
    """The choices that a function's parameters are annotated with.

    Raises:
        BuilderError: a parameter that has neither choices nor a default, or none has choices.
    """
    found: dict[str, Choice] = {}
    for name, parameter in _parameters(function).items():
        annotation = parameter.annotation
        if isinstance(annotation, str):  # under `from __future__ import annotations`
            try:
                annotation = eval(annotation, _globals(function))  # noqa: S307  # the user's own code, as written
            except Exception as error:
                where = f"the annotation of {name} in {called(function)}"
                raise BuilderError(
                    f"{where} cannot be read: {type(error).__name__}: {error}", "import Choice at the top of the file"
                ) from error
        if isinstance(annotation, Choice):
            found[name] = annotation
    _check_complete(function, found)
    return found


def named_choices(function: Callable[..., Any], options: Mapping[str, Sequence[Option]]) -> dict[str, Choice]:
    """The choices of a function that says nothing of them itself, in the order of its parameters.

    Raises:
        BuilderError: choices that are none, or that are not the function's parameters.
    """
    parameters, given = _parameters(function), {}
    for name, values in options.items():
        if name not in parameters:
            raise BuilderError(
                f"{called(function)} has no parameter {name}", f"its parameters are {', '.join(parameters) or 'none'}"
            )
        try:
            given[name] = Choice(*values)
        except BuilderError as error:
            raise BuilderError(f"choices.{name}: {error.message}", error.remedy) from error
    found = {name: given[name] for name in parameters if name in given}
    _check_complete(function, found)
    return found


def _globals(function: Callable[..., Any]) -> dict[str, Any]:
    home: Any = function.__init__ if inspect.isclass(function) else function
    found: dict[str, Any] = home.__globals__
    return found


def called(function: Callable[..., Any]) -> str:
    """A function's name."""
    return getattr(function, "__name__", type(function).__name__)


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(function).parameters)


def _check_complete(function: Callable[..., Any], choices: Mapping[str, Choice]) -> None:
    for name, parameter in _parameters(function).items():
        if name in choices or name in GIVEN or parameter.default is not inspect.Parameter.empty:
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
                raise BuilderError(f"{name} of {called(function)} cannot be given by name", "remove the / after it")
        elif parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            raise BuilderError(
                f"the parameter {name} of {called(function)} has no choices",
                f"write {name}: Choice(...) in Python, or {name}: [...] under choices in YAML; or give it a default",
            )
    if not choices:
        raise BuilderError(f"{called(function)} has no choices: there is nothing to search", _REMEDY)
    earlier: list[str] = []
    for name, choice in choices.items():
        depends = set(condition_names(choice))
        if choice.when is not None and (not depends or depends - set(earlier)):
            raise BuilderError(
                f"the condition of {name} depends on {', '.join(sorted(depends - set(earlier))) or 'nothing'}",
                f"it may depend on choices that stand before {name}: {', '.join(earlier) or 'there are none'}",
            )
        earlier.append(name)


def condition_names(choice: Choice) -> tuple[str, ...]:
    """The choices that a choice's condition looks at."""
    return tuple(inspect.signature(choice.when).parameters) if choice.when is not None else ()
