"""A user's own space: the contract, texts, conditions, files, and every mistake named."""

from __future__ import annotations

import itertools
import pickle
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from search.errors import BuilderError, BuildError
from search.predictors.costs import CostModel
from search.spaces import Architecture, Choice, Space, SpaceError, UserSpace, load_space, space
from search.spaces.choices import written
from search.spaces.probe import probe
from tests.conftest import ROOT
from tests.search.spaces.contract import SpaceContract

IMAGES, CLASSES = (1, 8, 8), 3


@space(image_shape=IMAGES, classes=CLASSES)
def small(
    depth: Choice(1, 2, 3),
    width: Choice(4, 8),
    kernel: Choice(3, 5, when=lambda depth: depth > 1),
    act: Choice("relu", "relu6", when=lambda kernel, width: kernel == 5 and width == 8),
    bias: Choice(False, True),
) -> nn.Module:
    layers, channels = [], 1
    for index in range(depth):
        size = kernel if index else 3
        layers += [nn.Conv2d(channels, width, size, padding=size // 2, bias=bias)]
        layers += [nn.ReLU6() if act == "relu6" else nn.ReLU()]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES))


class TestUserSpace(SpaceContract):
    def make(self) -> Space:
        return small


class TestExample(SpaceContract):
    """The example keeps the contract, loaded from its file."""

    def make(self) -> Space:
        return load_space(ROOT / "examples" / "own_space.py", "build", (1, 16, 16), 10)


def every(own: UserSpace) -> set[Architecture]:
    return {own.decode(choices) for choices in itertools.product(*(range(len(d.options)) for d in own.decisions))}


def test_an_architecture_reads_like_its_choices() -> None:
    assert small.decode((1, 1, 1, 1, 0)).text == "depth2-width8-kernel5-act_relu6-bias_no"
    assert small.parse("bias_no-act_relu6-kernel5-width8-depth2") == small.decode((1, 1, 1, 1, 0))


def test_choices_that_do_not_count_make_no_other_network() -> None:
    shallow = {small.decode((0, 1, kernel, act, 0)) for kernel in range(2) for act in range(2)}
    assert shallow == {Architecture("depth1-width8-bias_no")}
    assert small.encode(shallow.pop()) == (0, 1, 0, 0, 0)
    assert small.parse("depth1-width8-kernel5-act_relu6-bias_no").text == "depth1-width8-bias_no"


def test_a_choice_that_does_not_count_is_built_with_its_first_option() -> None:
    taken: list[dict[str, Any]] = []

    def build(**options: Any) -> nn.Module:
        taken.append(options)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, CLASSES))

    choices = {"a": Choice(1, 2), "b": Choice(7, 8, when=lambda a: a == 2)}
    UserSpace(build, choices, IMAGES, CLASSES).module(Architecture("a1"))
    assert taken[-1] == {"a": 1, "b": 7}


def test_size_counts_every_network() -> None:
    assert small.size() == len(every(small)) == 2 * (2 + 2 * (2 + 3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("depth1-width8", "does not say bias"),
        ("depth4-width8-bias_no", "'depth4' is no choice"),
        ("depth1-depth2-width8-bias_no", "chooses depth twice"),
        ("depth2-width8-bias_no", "does not say kernel"),
    ],
)
def test_a_text_that_names_no_network_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        small.parse(text)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (16, "x16"),
        (-3, "xm3"),
        (0.5, "x0p5"),
        (1e-05, "x1em05"),
        (2.0, "x2p0"),
        (True, "x_yes"),
        (False, "x_no"),
        ("relu", "x_relu"),
        ("a b/c", "x_a_b_c"),
    ],
)
def test_options_are_written_with_letters_that_a_file_name_can_have(option: Any, text: str) -> None:
    assert written("x", option) == text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "no options"),
        ((1, 1), "same option twice"),
        ((1, True), "same option twice"),
        ((None,), "None is no option"),
        (([3, 5],), r"\[3, 5\] is no option"),
        ((float("nan"),), "nan is no option"),
        (("",), "'' is no option"),
    ],
)
def test_a_choice_that_is_none_is_refused(options: tuple[Any, ...], message: str) -> None:
    with pytest.raises(BuilderError, match=message) as caught:
        Choice(*options)
    assert "Choice(8, 16, 32)" in caught.value.remedy


def flat(**_: Any) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, CLASSES))


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"a": Choice("x y", "x_y")}, "a='x_y' and a='x y' are both written a_x_y"),
        ({"a": Choice(11), "a1": Choice(1)}, "a1=1 and a=11 are both written a11"),
        ({"größe": Choice(1)}, "cannot be part of a file's name"),
    ],
)
def test_options_that_are_written_alike_are_refused(choices: dict[str, Choice], message: str) -> None:
    with pytest.raises(BuilderError, match=message):
        UserSpace(flat, choices, IMAGES, CLASSES)


def without_choices(depth: int) -> nn.Module:
    raise AssertionError


def with_arguments(depth: Choice(1, 2), *rest: Any, **more: Any) -> nn.Module:
    return flat()


def of_the_future(width: Choice(1, when=lambda depth: depth), depth: Choice(2)) -> nn.Module:
    raise AssertionError


def of_nothing(width: Choice(1, when=lambda: True)) -> nn.Module:
    raise AssertionError


def unreadable(depth: NoSuchName(1)) -> nn.Module:  # type: ignore[name-defined]  # noqa: F821
    raise AssertionError


def nothing_to_choose(depth: int = 3) -> nn.Module:
    raise AssertionError


def by_place_only(depth: Choice(1, 2), /) -> nn.Module:
    raise AssertionError


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (without_choices, "the parameter depth of without_choices has no choices"),
        (of_the_future, "the condition of width depends on depth"),
        (of_nothing, "the condition of width depends on nothing"),
        (unreadable, "the annotation of depth in unreadable cannot be read: NameError"),
        (nothing_to_choose, "nothing_to_choose has no choices"),
        (by_place_only, "depth of by_place_only cannot be given by name"),
    ],
)
def test_a_function_that_describes_no_space_is_refused(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(BuilderError, match=message) as caught:
        space(image_shape=IMAGES, classes=CLASSES)(function)
    assert caught.value.remedy


def test_open_parameters_are_left_alone() -> None:
    own = space(image_shape=IMAGES, classes=CLASSES)(with_arguments)
    assert [decision.name for decision in own.decisions] == ["depth"]


@pytest.mark.parametrize(("shape", "classes"), [((8, 8), 3), ((0, 8, 8), 3), ((1, 8, 8), 1)])
def test_images_and_classes_that_cannot_be_are_refused(shape: Any, classes: int) -> None:
    with pytest.raises(BuilderError, match="images of shape"):
        UserSpace(flat, {"a": Choice(1)}, shape, classes)


def test_a_condition_that_fails_is_named() -> None:
    choices = {"a": Choice(0, 1), "b": Choice(1, 2, when=lambda a: 1 / a > 0)}
    own = UserSpace(flat, choices, IMAGES, CLASSES)
    with pytest.raises(BuilderError, match=r"the condition of b fails for \{'a': 0\}: ZeroDivisionError"):
        own.decode((0, 0))


def raises_for_two(a: int) -> nn.Module:
    if a == 2:
        raise ValueError("no network\nof two")
    return flat()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (raises_for_two, "raises_for_two fails for a2: ValueError: no network$"),
        (lambda a: "text", "a str and no torch module comes out"),
        (lambda a: nn.Flatten(), r"gives shape \(1, 64\) instead of \(1, 3\)"),
        (lambda a: nn.Sequential(nn.Flatten(), nn.Linear(3, 3)), "it does not run: RuntimeError"),
        (lambda a: nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.ZeroPad1d((0, 2))), "no trainable parameters"),
        (lambda a: nn.MaxPool2d(8, return_indices=True), "gives no single tensor"),
    ],
)
def test_a_network_that_cannot_be_built_is_named_and_can_still_be_told_of(
    function: Callable[..., Any], message: str
) -> None:
    own = UserSpace(function, {"a": Choice(1, 2)}, IMAGES, CLASSES)
    broken = Architecture("a2")
    for ask in (own.macs, own.parameters, own.module):
        with pytest.raises(BuildError, match=message) as caught:
            ask(broken)
        assert "a2" in caught.value.message
    assert np.isfinite(own.features(broken)).all()
    assert dict(zip(own.feature_names, own.features(broken), strict=True))["builds"] == 0
    assert own.operators(broken) == {}


def test_the_other_networks_of_a_function_that_raises_for_one_are_fine() -> None:
    own = UserSpace(raises_for_two, {"a": Choice(1, 2)}, IMAGES, CLASSES)
    assert own.macs(Architecture("a1")) == 64 * CLASSES
    assert dict(zip(own.feature_names, own.features(Architecture("a1")), strict=True))["builds"] == 1


def test_predictors_take_in_networks_that_cannot_be_built() -> None:
    """A strategy considers them like any other before it asks for one."""
    own = UserSpace(raises_for_two, {"a": Choice(1, 2, 3)}, IMAGES, CLASSES)
    model = CostModel(own)
    model.fit([Architecture("a1"), Architecture("a3")], [1.0, 1.1])
    assert np.isfinite(model.predict([Architecture("a2")]).mean).all()


def test_looking_at_costs_leaves_torchs_generator_as_it_is() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    small.macs(small.decode((2, 1, 1, 0, 1)))
    assert torch.equal(torch.rand(3), expected)


class _Functional(nn.Module):
    """Multiplies outside of modules: a shared weight that is used twice, a transposed and a grouped convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4, 3, 3))
        self.up = nn.ConvTranspose2d(4, 2, 2, 2)
        self.grouped = nn.Conv2d(4, 6, 3, 2, groups=2)
        self.depthwise = nn.Conv2d(6, 6, 1, groups=6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(2):
            x = functional.conv2d(x, self.weight, padding=1)
        self.up(x)
        y = self.depthwise(self.grouped(x)).flatten(1)
        return y @ y.new_ones(y.shape[1], 5)


def test_what_multiplies_outside_of_modules_is_seen() -> None:
    seen = probe(_Functional(), torch.zeros(1, 4, 7, 7))
    assert seen.operators == {
        "conv3x3 4>4 @49": 2.0,
        "conv2x2 transposed 4>2 /2x2 @196": 1.0,
        "conv in 2 groups 3x3 4>6 /2x2 @9": 1.0,
        "depthwise1x1 6>6 @9": 1.0,
        "matmul 54>5 @1": 1.0,
    }
    assert seen.macs == 2 * 49 * 4 * 4 * 9 + 49 * 4 * 2 * 4 + 9 * 6 * 2 * 9 + 9 * 6 + 54 * 5
    assert seen.output_shape == (1, 5)


def test_a_changed_function_is_another_space() -> None:
    assert len({UserSpace(f, {"a": Choice(1, 2)}, IMAGES, CLASSES).name for f in (flat, raises_for_two)}) == 2
    assert (
        UserSpace(flat, {"a": Choice(1, 2)}, IMAGES, CLASSES).name
        != UserSpace(flat, {"a": Choice(1, 3)}, IMAGES, CLASSES).name
    )


# ------------------------------------------------------------------------------------------------- from a file

PLAIN = """
from torch import nn
import beside

def build(depth, width, bias=True, *, image_shape, classes):
    assert image_shape == (1, 8, 8)
    body = [nn.Conv2d(1 if not i else width, width, 3, padding=1) for i in range(depth)]
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(width * beside.CELLS, classes))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("CELLS = 64\n")
    (tmp_path / "plain.py").write_text(PLAIN)
    return tmp_path


@pytest.mark.parametrize("start", [".", "/"])
def test_another_process_loads_a_space_from_its_file(folder: Path, monkeypatch: pytest.MonkeyPatch, start: str) -> None:
    monkeypatch.chdir(folder)
    own = load_space("plain.py", "build", IMAGES, CLASSES, {"width": [4, 8], "depth": [1, 2]})
    content = pickle.dumps(own)
    monkeypatch.chdir(start)
    there = pickle.loads(content)
    assert there.name == own.name
    assert there.decisions == own.decisions


def test_a_space_without_a_file_cannot_be_sent() -> None:
    with pytest.raises(BuilderError, match="no other process") as refused:
        pickle.dumps(small)
    assert "load_space" in refused.value.remedy


def test_a_plain_function_takes_its_choices_from_outside(folder: Path) -> None:
    own = load_space(folder / "plain.py", "build", IMAGES, CLASSES, {"width": [4, 8], "depth": [1, 2]})
    assert [decision.name for decision in own.decisions] == ["depth", "width"]
    assert own.macs(Architecture("depth1-width4")) == 64 * 4 * 9 + 256 * CLASSES


def test_annotations_may_be_postponed_and_classes_be_builders(folder: Path) -> None:
    (folder / "late.py").write_text(
        textwrap.dedent(
            """
            from __future__ import annotations
            from typing import TYPE_CHECKING
            from torch import nn
            from search.spaces import Choice
            if TYPE_CHECKING:
                from somewhere import Unknown

            def build(width: Choice(4, 8), image_shape, classes) -> Unknown:
                return nn.Sequential(nn.Conv2d(1, width, 8), nn.Flatten(), nn.Linear(width, classes))

            class Net(nn.Module):
                def __init__(self, width: Choice(4, 8)) -> None:
                    super().__init__()
                    self.layers = nn.Sequential(nn.Conv2d(1, width, 8), nn.Flatten(), nn.Linear(width, 3))

                def forward(self, x):
                    return self.layers(x)
            """
        )
    )
    for name in ("build", "Net"):
        own = load_space(folder / "late.py", name, IMAGES, CLASSES)
        assert own.size() == 2
        assert own.parameters(Architecture("width4")) == 64 * 4 + 4 + 4 * 3 + 3


@pytest.mark.parametrize(
    ("content", "name", "choices", "message"),
    [
        (PLAIN, "construct", {"depth": [1]}, "has no function construct"),
        (PLAIN, "nn", {"depth": [1]}, "has no function nn"),
        (PLAIN, "build", None, "own.py:build: the parameter depth of build has no choices"),
        (PLAIN, "build", {"depth": [1]}, "own.py:build: the parameter width of build has no choices"),
        (PLAIN, "build", {"depth": [1], "height": [2]}, "build has no parameter height"),
        (PLAIN, "build", {"depth": [1, [2]], "width": [4]}, r"choices.depth: \[2\] is no option"),
        (PLAIN, "build", {"depth": [], "width": [4]}, "choices.depth: a choice has no options"),
        (
            "import no_such_module",
            "build",
            None,
            "cannot be run: ModuleNotFoundError: No module named",
        ),
        ("def build(:", "build", None, "cannot be run: SyntaxError"),
        ("import sys; sys.exit(2)", "build", None, "cannot be run: SystemExit: 2"),
        (
            "from search.spaces import Choice\ndef build(a: Choice()): ...",
            "build",
            None,
            "own.py: a choice has no options",
        ),
    ],
)
def test_a_file_that_holds_no_space_is_refused_in_one_line(
    folder: Path, content: str, name: str, choices: Any, message: str
) -> None:
    (folder / "own.py").write_text(content)
    with pytest.raises(BuilderError, match=message) as caught:
        load_space(folder / "own.py", name, IMAGES, CLASSES, choices)
    assert "\n" not in caught.value.message
    assert caught.value.remedy


def test_a_file_that_is_not_there_or_no_python_is_refused(folder: Path) -> None:
    with pytest.raises(BuilderError, match=r"there is no file .*nowhere\.py"):
        load_space(folder / "nowhere.py", "build", IMAGES, CLASSES)
    (folder / "own.txt").write_text(PLAIN)
    with pytest.raises(BuilderError, match=r"own.txt is no Python file"):
        load_space(folder / "own.txt", "build", IMAGES, CLASSES)


def test_a_decorated_function_says_itself_what_it_is_for() -> None:
    example = ROOT / "examples" / "own_space.py"
    with pytest.raises(
        BuilderError, match=re.escape("for images (1, 16, 16) and 10 classes; the data has (3, 32, 32)")
    ):
        load_space(example, "build", (3, 32, 32), 10)
    with pytest.raises(BuilderError, match="choices of its own"):
        load_space(example, "build", (1, 16, 16), 10, {"depth": [1]})
