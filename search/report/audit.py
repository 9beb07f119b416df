"""A supernet's audit as plain data, for the run log and the report, and its figures in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from search.report.units import count, duration

if TYPE_CHECKING:
    from fault_injection.statistics import Estimate
    from search.supernet.audit import Audit
    from search.supernet.rank_quality import Agreement, RankQuality

FORMAT = 2
"""Of the document; the first one had no number, knew no faults and no MACs."""

Document = Mapping[str, Any]


def audit_document(audit: Audit, supernet: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Plain data, with networks by their texts.

    Args:
        audit: what was found.
        supernet: what its training took: ``epochs``, and ``seconds`` of the clock where they are known.
    """
    return {
        "format": FORMAT,
        "subnets": [
            {
                "architecture": subnet.architecture.text,
                "macs": subnet.macs,
                "inherited": dict(subnet.inherited),
                "standalone": {name: list(values) for name, values in subnet.standalone.items()},
            }
            for subnet in audit.subnets
        ],
        "rankings": [_ranking(ranking) for ranking in audit.rankings],
        "effort": asdict(audit.effort),
        "supernet": dict(supernet or {}),
        "asked": audit.asked,
        "missing": dict(audit.missing),
        "failed": dict(audit.failed),
    }


def read_audit(document: Document) -> Document:
    """The document in today's form; what an older one does not know is None or empty."""
    if document.get("format") == FORMAT:
        return document
    low, high = document["tau_interval"] or (None, None)
    tau = None if document["tau"] is None else {"value": document["tau"], "low": low, "high": high}
    ceiling = None if document["ceiling"] is None else {"value": document["ceiling"], "low": None, "high": None}
    ranges = {
        key: {
            "low": document[f"{key}_range"][0],
            "high": document[f"{key}_range"][1],
            "deviation": None,
            "noise": noise,
        }
        for key, noise in (("inherited", document["noise"]), ("standalone", None))
    }
    n = len(document["subnets"])
    return {
        "format": FORMAT,
        "subnets": [
            {
                "architecture": subnet["architecture"],
                "macs": None,
                "inherited": {"accuracy": subnet["inherited"]},
                "standalone": {"accuracy": subnet["standalone"]},
            }
            for subnet in document["subnets"]
        ],
        "rankings": [
            {
                "quantity": "accuracy",
                "overall": {"pairs": math.comb(n, 2), "inherited": tau, "macs": None, "gain": None},
                "alike": None,
                "bins": None,
                "ceiling": ceiling,
                "top": [],
                "bias": None,
                "bias_per_doubling": None,
                **ranges,
                "verdict": document["verdict"],
                "reason": document["reason"],
            }
        ],
        "effort": None,
        "supernet": {},
        "asked": n,
        "missing": {},
        "failed": {},
    }


def audit_rows(document: Document) -> list[tuple[str, list[str]]]:
    """The figures for people: what each is, and its text for each quantity; without what no quantity has."""
    rankings = read_audit(document)["rankings"]
    rows: list[tuple[str, Callable[[Document], str]]] = [
        ("Verdict", lambda r: str(r["verdict"])),
        ("Kendall's τ of inherited accuracy", lambda r: _estimate(r["overall"]["inherited"])),
        ("τ of the number of MACs", lambda r: _estimate(r["overall"]["macs"])),
        ("what inheriting adds to MACs", lambda r: _estimate(r["overall"]["gain"], sign=True)),
        ("Among like MACs: τ of inherited accuracy", lambda r: _estimate((r["alike"] or {}).get("inherited"))),
        ("τ of MACs there", lambda r: _estimate((r["alike"] or {}).get("macs"))),
        ("what inheriting adds there", lambda r: _estimate((r["alike"] or {}).get("gain"), sign=True)),
        ("pairs there", _pairs),
        ("Ceiling: τ of seed against seed", lambda r: _estimate(r["ceiling"])),
        *((f"Best {top['k']} found", partial(_top, k=top["k"])) for top in rankings[0]["top"]),
        ("Inherited − trained alone, points", lambda r: _estimate(r["bias"], 100, sign=True)),
        ("more of it when MACs double, points", lambda r: _estimate(r["bias_per_doubling"], 100, sign=True)),
        ("Inherited, %", lambda r: _spread(r["inherited"])),
        ("Trained alone, %", lambda r: _spread(r["standalone"])),
    ]
    filled = [(name, [words(ranking) for ranking in rankings]) for name, words in rows]
    return [(name, cells) for name, cells in filled if any(cell != _NOTHING for cell in cells)]


def quantity_heading(quantity: str) -> str:
    """For people: "Accuracy", "Accuracy under adSAF(p=0.08)"."""
    _, _, condition = quantity.partition("@")
    return f"Accuracy under {condition}" if condition else "Accuracy"


def effort_sentences(document: Document) -> list[str]:
    """What the audit took, and what it left out."""
    document = read_audit(document)
    effort, supernet, said = document["effort"], document["supernet"], []
    if effort:
        networks = len(document["subnets"])
        times = count(effort["trainings"] // max(networks, 1), "time")
        learned = f"{count(effort['epochs'], 'epoch')} on {count(effort['training_images'], 'image')}"
        judged = f"Judged on {count(effort['validation_images'], 'image')}"
        if effort["patterns"]:
            judged += f", under faults on {effort['fault_images']:,} with {count(effort['patterns'], 'pattern')} each"
        said.append(
            f"{count(networks, 'network')}, each trained alone {times} for {learned}: {duration(effort['cpu_s'])} of "
            f"processor time. {judged}."
        )
    if supernet.get("epochs"):
        took = f", {duration(supernet['seconds'])} of the clock" if supernet.get("seconds") else ""
        said.append(f"The supernet was trained for {count(supernet['epochs'], 'epoch')}{took}.")
    left = document["asked"] - len(document["subnets"]) - len(document["failed"])
    if left > 0:
        was = "was" if left == 1 else "were"
        said.append(f"{count(left, 'network')} of {document['asked']} {was} left out: the budget was used up.")
    said += [f"Accuracy under {condition} is missing: {why}." for condition, why in document["missing"].items()]
    said += [f"{name} was left out: {why}." for name, why in document["failed"].items()]
    return said


_NOTHING = "–"


def _ranking(ranking: RankQuality) -> dict[str, Any]:
    return {
        "quantity": ranking.quantity,
        "overall": _agreement(ranking.overall),
        "alike": None if ranking.alike is None else _agreement(ranking.alike),
        "bins": ranking.bins,
        "ceiling": _plain(ranking.ceiling),
        "top": [asdict(top) for top in ranking.top],
        "bias": _plain(ranking.bias),
        "bias_per_doubling": _plain(ranking.bias_per_doubling),
        "inherited": asdict(ranking.inherited),
        "standalone": asdict(ranking.standalone),
        "verdict": ranking.verdict,
        "reason": ranking.reason,
    }


def _agreement(agreement: Agreement) -> dict[str, Any]:
    return {
        "pairs": agreement.pairs,
        "inherited": _plain(agreement.inherited),
        "macs": _plain(agreement.macs),
        "gain": _plain(agreement.gain),
    }


def _plain(estimate: Estimate | None) -> dict[str, float | None] | None:
    if estimate is None:
        return None
    interval = estimate.interval
    ends = (None, None) if interval is None else (interval.low, interval.high)
    return {"value": estimate.value, "low": ends[0], "high": ends[1]}


def _estimate(found: Document | None, factor: float = 1, *, sign: bool = False) -> str:
    if found is None:
        return _NOTHING
    form = f"{{:{'+' if sign else ''}.{1 if factor > 1 else 2}f}}"
    words = form.format(factor * found["value"])
    if found["low"] is not None:
        words += f" ({form.format(factor * found['low'])} to {form.format(factor * found['high'])})"
    return words.replace("-", "−")


def _pairs(ranking: Document) -> str:
    alike = ranking["alike"]
    return _NOTHING if alike is None else f"{alike['pairs']} in {ranking['bins']} bins"


def _top(ranking: Document, k: int) -> str:
    found = next((top for top in ranking["top"] if top["k"] == k), None)
    if found is None:
        return _NOTHING
    others = [("MACs", found["macs"]), ("another seed", found["seeds"]), ("chance", found["chance"])]
    listed = ", ".join(f"{name} {100 * share:.0f} %" for name, share in others if share is not None)
    return f"{100 * found['inherited']:.0f} % ({listed})"


def _spread(spread: Document) -> str:
    words = f"{100 * spread['low']:.1f} – {100 * spread['high']:.1f}"
    if spread["deviation"] is not None:
        words += f", deviation {100 * spread['deviation']:.1f}"
    return words if spread["noise"] is None else f"{words}, noise {100 * spread['noise']:.1f}"
