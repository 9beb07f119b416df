"""A user's own space: a function that builds a network, and the choices of its parameters.

::

    @space(image_shape=(1, 16, 16), classes=10)
    def build(depth: Choice(2, 3, 4), width: Choice(8, 16, 32), kernel: Choice(3, 5)) -> nn.Module:
        ...

    depth2-width16-kernel5         an architecture: the choices taken, in the order of the parameters

What a network costs and which operators it runs is seen by running it once on an image of zeros, which takes some
milliseconds. (Torch's ``meta`` device, which computes shapes alone, took seven times as long on small networks.)
"""

from __future__ import annotations

import hashlib
import inspect
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from search.errors import BuilderError, BuildError
from search.spaces.base import Architecture, Decision, SpaceError
from search.spaces.choices import (
    GIVEN,
    Choice,
    Option,
    annotated_choices,
    called,
    condition_names,
    tokens,
    written,
)
from search.spaces.variation import ByDecisions, checked_choices

if TYPE_CHECKING:
    from torch import nn

    from search.spaces.probe import Probe

Builder = Callable[..., Any]


class UserSpace(ByDecisions):
    """The networks that a function builds; see :func:`space` and :func:`~search.spaces.loading.load_space`.

    A network that its function cannot build raises :class:`~search.errors.BuildError`, wherever it is needed; its
    texts, decisions and features do not need it.

    Args:
        builder: called with an option for each choice, by name, and with ``image_shape`` and ``classes`` if it has
            parameters of these names.
        choices: of its parameters, in their order.
        image_shape: (C, H, W) of an image.
        classes: logits.

    Raises:
        BuilderError: names or options that cannot be told apart in a text, images or classes that cannot be.
    """

    def __init__(
        self, builder: Builder, choices: Mapping[str, Choice], image_shape: tuple[int, int, int], classes: int
    ) -> None:
        self.builder = builder
        self.choices = dict(choices)
        self.image_shape: tuple[int, int, int] = tuple(image_shape)  # type: ignore[assignment]  # checked below
        self.classes = classes
        if len(self.image_shape) != 3 or min(self.image_shape) < 1 or classes < 2:
            raise BuilderError(
                f"images of shape {self.image_shape} and {classes} classes",
                "images are (channels, height, width), all positive, and there are two classes or more",
            )
        self._tokens = tokens(self.choices)
        self._names = tuple(self.choices)
        self._choices = tuple(self.choices.values())
        self._given = {
            name: value
            for name, value in zip(GIVEN, (self.image_shape, classes), strict=True)
            if name in inspect.signature(builder).parameters
        }
        self._probes: dict[str, Probe | BuildError] = {}
        #: How another process loads it from its file: a function and its arguments; None if it is from none.
        self.loaded_by: tuple[Callable[..., UserSpace], tuple[Any, ...]] | None = None

    def __reduce__(self) -> tuple[Callable[..., UserSpace], tuple[Any, ...]]:
        """A process that is sent the space loads it from its file, for it cannot be sent a function."""
        if self.loaded_by is None:
            raise BuilderError(
                f"{called(self.builder)} is not from a file, so that no other process can load it",
                "write it into a Python file, and load it with load_space",
            )
        return self.loaded_by

    def __repr__(self) -> str:
        return f"<space {self.name}: {', '.join(self.choices)}>"

    @cached_property
    def name(self) -> str:
        """The function's name, image and classes, and a digest of its choices and of what it says."""
        try:
            source = inspect.getsource(self.builder)
        except (OSError, TypeError):  # typed at a prompt
            source = ""
        digest = hashlib.sha256("\n".join([*self._tokens, source]).encode()).hexdigest()[:8]
        shape = "x".join(map(str, self.image_shape))
        return f"{called(self.builder)}-{shape}-{self.classes}-{digest}"

    def size(self) -> int:
        """Number of different networks."""
        # Ways to choose so far, told apart by those choices alone that later conditions look at.
        ways: Counter[tuple[int, ...]] = Counter({(): 1})
        for place, choice in enumerate(self._choices):
            later = {name for other in self._choices[place + 1 :] for name in condition_names(other)}
            longer: Counter[tuple[int, ...]] = Counter()
            for taken, count in ways.items():
                for option in range(len(choice.options)) if self._counts(place, taken) else (0,):
                    pairs = zip(self._names, (*taken, option), strict=False)
                    longer[tuple(index if name in later else 0 for name, index in pairs)] += count
            ways = longer
        return ways.total()

    def allows(self, architecture: Architecture) -> bool:
        """See :class:`~search.spaces.base.Space`."""
        return True

    # ------------------------------------------------------------------------------------------------- spelling

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """The choices, in the order of the parameters."""
        return tuple(Decision(name, tuple(map(str, choice.options))) for name, choice in self.choices.items())

    def _counts(self, place: int, taken: Sequence[int]) -> bool:
        """Does a choice count, given the options taken before?"""
        name, choice = self._names[place], self._choices[place]
        if choice.when is None:
            return True
        values = self._values(taken)
        known = {other: values[other] for other in condition_names(choice)}
        try:
            return bool(choice.when(**known))
        except Exception as error:
            raise BuilderError(
                f"the condition of {name} fails for {known}: {type(error).__name__}: {error}", "see to its `when`"
            ) from error

    def _values(self, taken: Sequence[int]) -> dict[str, Option]:
        triples = zip(self._names, self._choices, taken, strict=False)
        return {name: choice.options[index] for name, choice, index in triples}

    def decode(self, choices: Sequence[int]) -> Architecture:
        """See :class:`~search.spaces.base.Space`."""
        taken: list[int] = []
        parts: list[str] = []
        for place, option in enumerate(checked_choices(self.decisions, choices)):
            counts = self._counts(place, taken)
            taken.append(option if counts else 0)
            if counts:
                parts.append(written(self._names[place], self._choices[place].options[option]))
        return Architecture("-".join(parts))

    def encode(self, architecture: Architecture) -> tuple[int, ...]:
        """See :class:`~search.spaces.base.Space`."""
        text = architecture.text
        found: dict[int, int] = {}
        for part in text.split("-"):
            if part not in self._tokens:
                raise SpaceError(f"{text!r}: {part!r} is no choice of {', '.join(self._tokens)}")
            place, option = self._tokens[part]
            if found.setdefault(place, option) != option:
                raise SpaceError(f"{text!r} chooses {self.decisions[place].name} twice")
        taken: list[int] = []
        for place, decision in enumerate(self.decisions):
            counts = self._counts(place, taken)
            if counts and place not in found:
                raise SpaceError(f"{text!r} does not say {decision.name}")
            taken.append(found[place] if counts else 0)
        return tuple(taken)

    def parse(self, text: str) -> Architecture:
        """Read choices in any order, also those that do not count, into the canonical architecture."""
        return self.decode(self.encode(Architecture(text)))

    def canonical(self, architecture: Architecture) -> Architecture:
        """Choices in the order of the parameters, without those that do not count."""
        return self.parse(architecture.text)

    # ----------------------------------------------------------------------------------------- what predictors see

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Numbers as they are, other options one-hot; does a conditional choice count; costs of the whole."""
        names: list[str] = []
        for name, choice in self.choices.items():
            names += [name] if choice.numeric else [f"{name}.{index}" for index in range(len(choice.options))]
            if choice.when is not None:
                names.append(f"{name}.counts")
        return (*names, "builds", "log10_macs", "log10_parameters")

    def features(self, architecture: Architecture) -> NDArray[np.float64]:
        """(F,): as :attr:`feature_names` says; all zeros for choices that do not count, and for costs of what cannot
        be built.
        """
        taken = self.encode(architecture)
        row: list[float] = []
        for place, (choice, option) in enumerate(zip(self._choices, taken, strict=True)):
            counts = self._counts(place, taken)
            if choice.numeric:
                row.append(float(choice.options[option]) if counts else 0.0)
            else:
                row += [float(counts and index == option) for index in range(len(choice.options))]
            if choice.when is not None:
                row.append(float(counts))
        try:
            seen = self._probe(architecture)
        except BuildError:
            return np.array([*row, 0.0, 0.0, 0.0])
        return np.array([*row, 1.0, math.log10(max(seen.macs, 1)), math.log10(seen.parameters)])

    def operators(self, architecture: Architecture) -> dict[str, float]:
        """Convolutions and matrix products, by kind, shape and stride; none of what cannot be built."""
        try:
            return dict(self._probe(architecture).operators)
        except BuildError:
            return {}

    # --------------------------------------------------------------------------------------------- what they cost

    def macs(self, architecture: Architecture) -> int:
        """Multiplications for one image of convolutions and matrix products.

        Raises:
            BuildError: it cannot be built.
        """
        return self._probe(architecture).macs

    def parameters(self, architecture: Architecture) -> int:
        """Trainable parameters.

        Raises:
            BuildError: it cannot be built.
        """
        return self._probe(architecture).parameters

    def module(self, architecture: Architecture) -> nn.Module:
        """A new network, its weights from torch's generator as far as the function draws them there.

        Raises:
            BuildError: the function raises, or what it returns is no network of the space's shapes.
        """
        self._probe(architecture)
        return self._build(architecture)

    def _build(self, architecture: Architecture) -> nn.Module:
        from torch import nn  # torch takes a second to load

        try:
            network = self.builder(**self._values(self.encode(architecture)), **self._given)
        except Exception as error:
            raise self._failed(architecture, f"{type(error).__name__}: {error}") from error
        if not isinstance(network, nn.Module):
            raise self._failed(architecture, f"a {type(network).__name__} and no torch module comes out")
        return network

    def _failed(self, architecture: Architecture, reason: str) -> BuildError:
        first = reason.splitlines()[0]
        return BuildError(f"{called(self.builder)} fails for {self.canonical(architecture)}: {first}", "see to it")

    def _probe(self, architecture: Architecture) -> Probe:
        """Build a network and run it once; what came of it is kept, be it an error."""
        text = self.canonical(architecture).text
        if text not in self._probes:
            try:
                self._probes[text] = self._run(Architecture(text))
            except BuildError as error:
                self._probes[text] = error
        seen = self._probes[text]
        if isinstance(seen, BuildError):
            raise seen.with_traceback(None)  # it would grow with each raise
        return seen

    def _run(self, architecture: Architecture) -> Probe:
        import torch

        from search.spaces.probe import probe

        with torch.random.fork_rng(devices=[]):
            network = self._build(architecture)
            try:
                seen = probe(network, torch.zeros(1, *self.image_shape))
            except Exception as error:
                raise self._failed(architecture, f"it does not run: {type(error).__name__}: {error}") from error
        if seen.output_shape != (1, self.classes):
            came = "no single tensor" if seen.output_shape is None else f"shape {seen.output_shape}"
            raise self._failed(
                architecture, f"an image {self.image_shape} gives {came} instead of (1, {self.classes}), its logits"
            )
        if not seen.parameters:
            raise self._failed(architecture, "it has no trainable parameters")
        return seen


def space(*, image_shape: tuple[int, int, int], classes: int) -> Callable[[Builder], UserSpace]:
    """Make a space of a function whose parameters are annotated with choices.

    Args:
        image_shape: (C, H, W) of an image.
        classes: logits.

    Raises:
        BuilderError: the function describes no space; the message says what is wrong and what to write instead.
    """
    return lambda function: UserSpace(function, annotated_choices(function), image_shape, classes)
