"""What training alone makes of the best candidates, beside what they were searched with."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from fault_injection.statistics import mean_over_patterns
from search.report.candidates import figure_cell
from search.report.inputs import FinalistInput, FinalistNetwork
from search.report.markup import Markup, join, section, table, tag
from search.report.units import Unit, count, heading
from search.values import Value

_PERCENT = Unit(0.01, "%", 1)
_CONFIDENCE = 0.95
_WORDS = {"inherited": "Trained on from these", "scratch": "Trained from scratch"}


def finalists(given: FinalistInput | None) -> Markup:
    """A table with a line for each network and quantity; nothing without finalists."""
    if given is None or not given.networks:
        return Markup("")
    begun = [name for name in _WORDS if any(name in network.trained for network in given.networks)]
    searched = "With the supernet's weights" if given.shared else "As searched"
    heads = ["Candidate", "Quantity, %", searched, *(_WORDS[name] for name in begun)]
    rows = []
    for network in given.networks:
        for quantity in given.quantities:
            name = str(quantity)
            cells = [
                join([tag("span", network.number, class_="candidate"), " ", tag("code", network.architecture)]),
                heading(quantity),
                figure_cell(network.searched.get(name, Value.missing("not measured")), _PERCENT),
            ]
            cells += [_over_seeds([figures.get(name) for figures in network.trained.get(b, ())]) for b in begun]
            rows.append(cells)
    lead = (
        f"The best candidates, trained alone: {given.how}. All figures are of the deployed files, on test images and "
        "under fault patterns that no choice has seen. Those of a training are means over its seeds, with Student's "
        "interval over them; what they began with has the interval of images or of fault patterns."
    )
    files = [
        tag("li", f"Candidate {network.number}: ", join(_links(network))) for network in given.networks if network.files
    ]
    failed = [tag("p", text, class_="soft") for network in given.networks for text in network.failures]
    return section(
        "finalists",
        "Finalists",
        table("Finalists, by where their training began", heads, rows, numeric=range(2, len(heads)), class_="figures"),
        *failed,
        tag("ul", *files, class_="soft") if files else "",
        lead=lead,
    )


def over_seeds(figures: Sequence[Value]) -> Value:
    """The mean of several seeds with its 95 % interval, Student's; of one seed alone it has none.

    Args:
        figures: of each seed, at least one; those that are missing are left out if another is there.
    """
    known = [figure.value for figure in figures if figure.value is not None]
    if not known:
        return figures[0]
    found = mean_over_patterns(known, _CONFIDENCE)
    if found.interval is None:
        return Value(found.value, samples=1)
    low, high = found.interval.low, found.interval.high
    return Value(found.value, low, high, _CONFIDENCE, "Student's t over seeds", len(known))


def _over_seeds(figures: Sequence[Value | None]) -> Markup:
    there = [figure for figure in figures if figure is not None]
    if not there:
        return tag("span", "–", class_="soft")
    mean = over_seeds(there)
    return join([figure_cell(mean, _PERCENT), tag("small", count(mean.samples, "seed"))])


def _links(network: FinalistNetwork) -> list[Markup]:
    return [join([tag("a", name, href=quote(path)), " "]) for name, path in network.files.items()]
