"""Fuzz decoders and verifiers, guided by coverage: `python -m tools.fuzz [--seconds N] [TARGET…]`.

It needs atheris, which is no dependency of ours: `pip install atheris` (Linux wheels for every Python that we run on).
With HYPOTHEC_SHARED set, real proofs are among the inputs that it begins with. What it finds stays in a new folder; a
finding is tried again by `python -m tools.fuzz.one TARGET FILE`.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.fuzz.targets import TARGETS

_MEMORY = 2048
_SHOWN = 30


def fuzz(name: str, seconds: int, findings: Path) -> bool:
    """Fuzz one target, print its figures, and tell whether nothing was found."""
    with tempfile.TemporaryDirectory() as corpus:
        flags = [f"-max_total_time={seconds}", f"-rss_limit_mb={_MEMORY}", "-timeout=30", "-print_final_stats=1"]
        command = [sys.executable, "-m", "tools.fuzz.one", name, corpus, *flags, f"-artifact_prefix={findings}/{name}-"]
        done = subprocess.run(command, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode(errors="replace")
    edges = re.findall(r"cov: (\d+)", said) or ["0"]
    runs = re.findall(r"number_of_executed_units: (\d+)", said) or ["0"]
    print(f"{name:24} {runs[-1]:>10} runs {edges[-1]:>6} edges  {'FOUND' if done.returncode else 'ok'}", flush=True)
    if done.returncode:
        print("\n".join(said.splitlines()[-_SHOWN:]), flush=True)
    return not done.returncode


def main() -> int:
    """0 if nothing was found, 1 if something was, 2 if there is no atheris."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600, help="for all targets together (default: 600)")
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], metavar="TARGET", help=", ".join(TARGETS))
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("install the fuzzer beside the project: pip install atheris", file=sys.stderr)
        return 2
    names = options.targets or list(TARGETS)
    findings = Path(tempfile.mkdtemp(prefix="findings-"))
    results = [fuzz(name, max(1, options.seconds // len(names)), findings) for name in names]
    print(f"{results.count(False)} of {len(results)} targets have findings" + (f", in {findings}" * (not all(results))))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
