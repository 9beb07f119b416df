# ruff: noqa: T201  # it prints, and what it imports late is annotated early
"""A worker whose jobs misbehave as the model's name tells. Everything else of it is the real one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

NEVER = threading.Event()


def die_at(signal_number: int) -> None:
    os.kill(os.getpid(), signal_number)


def misbehave(name: str, request: worker_pb2.WorkerRequest, report: object) -> measurement_pb2.MeasurementResult:
    if name == "segfault":
        print("about to fall", file=sys.stderr)
        die_at(signal.SIGSEGV)
    elif name == "killed":
        die_at(signal.SIGKILL)
    elif name == "bad-alloc":
        print("terminate called after throwing an instance of 'std::bad_alloc'", file=sys.stderr)
        die_at(signal.SIGABRT)
    elif name == "exit":
        os._exit(3)
    elif name == "hang":
        NEVER.wait()
    elif name == "hang-with-child":
        child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        report(f"child {child.pid}", False)
        NEVER.wait()
    elif name == "wait":
        report("waiting for the host", True)
        # Longer than the time limit of the job that asks for it.
        NEVER.wait(1.5)
        report("load", False)
    elif name == "spend":
        result = measurement_pb2.MeasurementResult()
        # Remarks that differ in numbers only are joined.
        result.provenance.remarks.append(f"{worker_pb2.WorkerTask.Name(request.task)} {request.spec.timeout_s}")
        NEVER.wait(0.2)
        return result
    elif name == "eat":
        hoard = []
        while True:
            hoard.append(bytearray(16 * 1024**2))
    elif name == "flood":
        sys.stderr.write("x" * 1_000_000 + "the end")
        sys.stderr.flush()
        die_at(signal.SIGSEGV)
    elif name == "print":
        print("native code prints to standard output")
    elif name == "garbage":
        os.write(RESPONSE_FD, b"\xff" * 64)
        NEVER.wait()
    elif name == "nonsense":
        os.write(RESPONSE_FD, b"\0\0\0\x04" + b"\xff" * 4)
        NEVER.wait()
    elif name == "bad-profiler":
        if request.task == worker_pb2.WORKER_TASK_PROFILE:
            die_at(signal.SIGSEGV)
    elif name == "grow":
        GROWN.append(b"x" * (64 * 1024**2))
    elif name == "raise":
        raise ZeroDivisionError("our own bug")
    elif name == "full":
        raise OSError(28, "No space left on device")
    elif name == "where":
        result = measurement_pb2.MeasurementResult()
        result.provenance.remarks.append(os.getcwd())
        result.provenance.remarks.append(sys.modules["device_agent"].__file__ or "")
        return result
    elif name == "file":
        (result := measurement_pb2.MeasurementResult()).latency.raw_samples.digest = "f" * 64
        with open(os.path.join(request.output_dir, "f" * 64), "wb") as file:
            file.write(b"samples")
        return result
    result = measurement_pb2.MeasurementResult()
    result.provenance.remarks.append(f"pid {os.getpid()}")
    result.memory.peak_bytes.estimate.value = 1 + len(DONE)
    DONE.append(name)
    return result


def carry_out(bench: object, request: worker_pb2.WorkerRequest, report: object) -> measurement_pb2.MeasurementResult:
    report("load", False)
    return misbehave(request.spec.model.name, request, report)


if __name__ == "__main__":
    START = sys.argv[1]
    if START == "crash":
        print("libnative.so: cannot open shared object file", file=sys.stderr)
        sys.exit(1)
    if START == "silent":
        NEVER.wait()

    from device_agent.measure import run
    from device_agent.worker.__main__ import main
    from protos.gauntlet.v1 import measurement_pb2, worker_pb2

    GROWN = []
    DONE = []
    RESPONSE_FD = next(int(a.split("=")[1]) for a in sys.argv if a.startswith("--response-fd="))
    run.Bench.carry_out = carry_out
    sys.exit(main(sys.argv[2:]))
