"""The engine against what a user would otherwise run: PEFT and loops, sentence-transformers and scikit-learn, Arrow.

    python -m benchmarks.speed [--only meta-first-order ...] [--quick] [--out benchmarks/results/speed.json]

Texts are made up from the sample's words; weights are random where only time counts. Both sides see the same rows and
seeds; gradients and predictions are compared before anything is timed. Runs are interleaved (ours, theirs, ours ...);
the table shows the median of each and the median of the ratios of neighbours. A user's side computes in float32 and
takes texts as they come; where ours does otherwise, a more careful user is timed besides, who computes in the same
precision and puts texts of like length together. What is in the output file of the same commit and device is not
measured again. ``--quick`` takes small sizes, to see that everything runs.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.provenance import RESULTS, provenance
from benchmarks.speed.cases import CASES, Setting
from benchmarks.speed.measuring import compared, counted, matrix_rates, peak_memory
from engine.backbones.devices import multiplies_bfloat16, resolve_device
from engine.storage import read_json, write_json

MULTIPLYING = ("meta-first-order", "meta-exact", "five-seeds", "classify")
"""Cases whose time is that of matrix products, so that their share of the processor's rate says something."""


def measure(name: str, setting: Setting, rates: Mapping[str, float]) -> dict[str, Any]:
    """Compare the results and count operations, then time both sides, then measure memory."""
    plan = CASES[name]
    case = plan.make(setting)
    found: dict[str, Any] = dict(case.facts)
    mine, operations = counted(case.ours) if name in MULTIPLYING else (case.ours(), 0)
    other = case.theirs()
    if case.compare is not None:
        found |= {key: round(value, 7) for key, value in case.compare(mine, other).items()}
    found |= compared(case, 1 if setting.quick else plan.repeats)
    if name in MULTIPLYING:
        rate = operations / found["ours_seconds"]
        found["share_of_matrix_rate"] = round(rate / rates[case.facts["precision"]], 3)
    if "megabytes" in case.facts:
        found["megabytes_a_second"] = round(case.facts["megabytes"] / found["ours_seconds"], 1)
    found |= peak_memory(name, setting)
    found["target"] = plan.targets[setting.device.type]
    found["reached"] = found["ratio"] >= found["target"]
    return found


def table(document: Mapping[str, Mapping[str, Any]]) -> str:
    """Return Markdown: a row a case and device; what was not measured says so."""
    lines = [
        "| | device | ratio (target) | against a careful user | ours, s | theirs, s | share of matrix rate "
        "| peak memory, MB: ours, theirs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for device, cases in document.items():
        for name in CASES:
            if "ratio" not in cases.get(name, {}):  # of an older measurement the careful user alone may be there
                lines.append(f"| {name} | {device} | not measured | | | | | |")
                continue
            found = cases[name]
            share = f"{found['share_of_matrix_rate']:.0%}" if "share_of_matrix_rate" in found else ""
            careful = f"{found['careful_ratio']:.2f}" if "careful_ratio" in found else ""
            lines.append(
                f"| {name} | {device} | {found['ratio']:.2f} ({found['target']:g}: "
                f"{'reached' if found['reached'] else 'missed'}) | {careful} | {found['ours_seconds']:.2f} | "
                f"{found['theirs_seconds']:.2f} | {share} | {found['ours_peak_mb']:,}, {found['theirs_peak_mb']:,} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Measure what is asked for, write JSON after every case, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=["auto", "float32"], default="auto", help="of the engine")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS / "speed.json")
    arguments = parser.parse_args()
    device = resolve_device(arguments.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    if device.type == "cpu" and multiplies_bfloat16(device):
        name += " with bfloat16" if arguments.precision == "auto" else " told to use float32"
    origin = provenance("torch", "transformers", "peft")
    document: dict[str, Any] = read_json(arguments.out) if arguments.out.exists() else {}
    known = document.setdefault(f"{device.type} {name}, {torch.get_num_threads()} threads", {})
    rates: dict[str, float] = {}
    for case in arguments.only:
        if (known.get(case, {}).get("commit"), known.get(case, {}).get("quick")) == (origin["commit"], arguments.quick):
            continue
        rates = rates or matrix_rates(device)
        with tempfile.TemporaryDirectory(prefix="metapt-speed-") as scratch:
            setting = Setting(device, Path(scratch), arguments.quick, arguments.precision)
            found = measure(case, setting, rates)
        known[case] = found | {
            "matrix_rate_gflops": {kind: round(rate / 1e9) for kind, rate in rates.items()},
            "quick": arguments.quick,
            "waiting_threads": os.environ.get("OMP_WAIT_POLICY", "as the libraries have it"),
            **origin,
        }
        write_json(arguments.out, document)
        print(f"{case}: {known[case]}", flush=True)
    print(table(document))


if __name__ == "__main__":
    main()
