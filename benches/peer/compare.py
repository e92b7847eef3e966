#!/usr/bin/env python3
"""Runs overinterp and PyTorch in turn on the same work, and prints the ratios of the medians.

usage: compare.py BINARY [--arch NAME ...] [--rounds 9] [--threads 2] [--device cpu]

In each round, `overinterp bench` and every work of `peer.py` run once, on a GPU for a fifth of a second and twenty times, so that
what else the machine does meets both alike. Nothing else should run meanwhile.
"""

import argparse
import json
import statistics
import subprocess

import torch

import peer

# What is compared: its name, what ours is called in `bench`, PyTorch's work, and how both become images a second.
ROWS = [
    ("backward selection, candidates", "candidates_per_second", "forward"),
    ("training step", "train_step_ms", "train step"),
    ("gradient round", "gradient_round_ms", "gradient round"),
    ("evaluation", "images_per_second", "forward"),
]


def ours(binary, arch, threads, device):
    # On a GPU a run takes a millisecond, and more than one of each must count.
    spent = "0" if device == "cpu" else "0.2"
    command = [binary, "bench", "--arch", arch, "--seconds", spent, "--device", device, "--threads", str(threads)]
    command += ["--cache", "target/peer-cache", "--format", "json"]
    rates = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    per_second = {}
    for _, name, _ in ROWS:
        per_second[name] = rates["batch"] / rates[name] * 1e3 if name.endswith("_ms") else rates[name]
    return per_second, rates


def processor():
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return "unknown processor"


def compare(binary, arch, rounds, threads, device):
    works = peer.fastest_layouts(arch, device)
    mine, theirs = {name: [] for _, name, _ in ROWS}, {name: [] for name in works}
    for _ in range(rounds):
        per_second, rates = ours(binary, arch, threads, device)
        for name, value in per_second.items():
            mine[name].append(value)
        for name, work in works.items():
            images = peer.forward_batch(device) if "forward" in name else peer.BATCH
            theirs[name].append(images / peer.seconds(work, device))
    median = statistics.median
    for row, name, work in ROWS:
        value, eager = median(mine[name]), median(theirs[work])
        frozen = median(theirs["frozen forward"]) if work == "forward" else None
        strong = f"{frozen:.0f}" if frozen else "-"
        against = f"{value / frozen:.2f}x" if frozen else "-"
        cells = [arch, row, f"{value:.0f}", f"{eager:.0f}", strong, f"**{value / eager:.2f}x**", against]
        print("| " + " | ".join(cells) + " |", flush=True)
    return rates


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--arch", action="append", choices=peer.NETWORKS)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print("| network | images a second | overinterp | PyTorch | frozen | ratio | to frozen |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for arch in args.arch or peer.NETWORKS:
        rates = compare(args.binary, arch, args.rounds, args.threads, args.device)
    forward = peer.forward_batch(args.device)
    batches = peer.BATCH if forward == peer.BATCH else f"{peer.BATCH}, {forward} in forward passes"
    print(
        f"\n{processor()}, {rates['isa']}, {args.threads} threads; PyTorch {torch.__version__} in its faster memory "
        f"layout, `frozen` with batch norm folded (optimize_for_inference); batch {batches}, medians of "
        f"{args.rounds} alternating runs"
    )


if __name__ == "__main__":
    main()
