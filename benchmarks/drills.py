"""What a lab does when something in it dies, hangs, lies or is cut off: how soon it knows, how soon all is well again.

Run: ``python -m benchmarks.drills [--quick]``

Each drill has a lab of its own (real processes, heartbeats and leases as they are by default, 2 s and 10 s; the agent
connects through a proxy where the network is at fault), strikes once, and takes two times as a client sees them:

    fault ──▶ the lab knows: device lost, or attempt failed ──▶ (healed, if it has to be) ──▶ jobs done, device works
    └───────────── detected after ─────────────┘              └──────── recovered after ────────┘

*Recovered* counts from the fault, or from its end where it has to end first (a cable is put back, a process started
again by its service manager), and includes measuring the job that was hit once more, and another job after it. A link
that is cut and heals at once costs nothing else: the agent goes on measuring. *Lost* and *doubled* are counted in the
database by a ledger that shares no code with the orchestrator: acknowledged jobs that have no end, or more than one; it
checks all its rules besides (tests/drills/ledger.py).

Target: detected ≤ 15 s, recovered ≤ 30 s, lost 0, doubled 0.

The column of Apache TVM's RPC (tracker and server as its users start them, session time-out 0 unless said otherwise)
holds the drills that it can be put through, when `GAUNTLET_TVM_PYTHON` names a Python with apache-tvm: seconds until a
client that asks afterwards has the device, or that it had not within 20 s.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import _tvm, _tvm_drills
from benchmarks._lab import export_model
from benchmarks._report import Report, Row, Table, main
from tests.drills import faults
from tests.drills.ledger import tally
from tests.drills.processes import Lab

DETECTED_S, RECOVERED_S = 15.0, 30.0
#: Without waiting for a lease to end.
QUICK = (faults.worker_killed, faults.link_cut_while_measuring, faults.orchestrator_killed)


def run(quick: bool) -> Report:
    table = Table("Drills: fault, detected after, recovered after", notes=[])
    with tempfile.TemporaryDirectory(prefix="gauntlet-") as folder:
        model = export_model(Path(folder) / "model.tflite").read_bytes()
        peer = _peer(Path(folder), quick, table)
        for number, fault in enumerate(QUICK if quick else faults.FAULTS):
            row = _drill(Path(folder) / str(number), fault, model, table)
            table.rows.append({**row, "TVM": peer.get(fault.__name__, "")} if peer else row)
    return Report([table])


def _drill(folder: Path, fault: Callable[[Lab, bytes], faults.Course], model: bytes, table: Table) -> Row:
    name = fault.__name__.replace("_", " ")
    folder.mkdir()
    with contextlib.closing(Lab(folder, heartbeat_s=2.0, lease_s=10.0)) as lab:
        try:
            course = fault(lab, model)
            lab.audit()
        except AssertionError as error:
            table.notes.append(f"{name}: {str(error).partition(chr(10))[0]}")
            return {"fault": name, "met": False}
        lost, doubled = tally(folder / "lab", lab.ledger)
        met = (course.detected_s or 0.0) <= DETECTED_S and course.recovered_s <= RECOVERED_S and not lost + doubled
        return {
            "fault": name,
            "detected after s": course.detected_s,
            "recovered after s": course.recovered_s,
            "jobs": len(lab.ledger.acknowledged),
            "lost": lost,
            "doubled": doubled,
            "met": met,
        }


def _peer(folder: Path, quick: bool, table: Table) -> dict[str, str]:
    if quick:
        return {}
    try:
        return _tvm_drills.run(folder / "tvm", _tvm.python())
    except _tvm.MissingError as error:
        table.notes.append(f"without TVM's column: {error}")
        return {}


if __name__ == "__main__":
    main(run, __doc__)
