#!/usr/bin/env python3
"""Runs overinterp, PyTorch and its like in turn on the same work, and prints the ratios of the medians.

usage: compare.py BINARY [--arch NAME ...] [--rounds 9] [--threads 2] [--device cpu]

In each round, `overinterp bench` and every work of `peer.py` run once, on a GPU for a fifth of a second and twenty times, so that
what else the machine does meets all alike. On the CPU so do the forward passes of `forward_peers.py`, as far as they can be had.
Nothing else should run meanwhile.
"""

import argparse
import json
import statistics
import subprocess

import torch

import forward_peers
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


def columns(device):
    return ["PyTorch", "frozen", *(forward_peers.PEERS if device == "cpu" else [])]


def named_works(work):
    """The works that a row of the table compares with, by their column."""
    if work != "forward":
        return {"PyTorch": work}
    return {"PyTorch": work, "frozen": "frozen forward", **{name: name for name in forward_peers.PEERS}}


def compare(binary, arch, rounds, threads, device):
    works = {}
    for name, work in peer.fastest_layouts(arch, device).items():
        works[name] = (work, peer.forward_batch(device) if "forward" in name else peer.BATCH)
    if device == "cpu":
        works.update(forward_peers.works(arch, threads))
    mine, theirs = {name: [] for _, name, _ in ROWS}, {name: [] for name in works}
    for _ in range(rounds):
        per_second, rates = ours(binary, arch, threads, device)
        for name, value in per_second.items():
            mine[name].append(value)
        for name, (work, images) in works.items():
            theirs[name].append(images / peer.seconds(work, device))
    median = statistics.median
    for row, name, work in ROWS:
        value = median(mine[name])
        peers = {title: median(theirs[work]) for title, work in named_works(work).items() if work in theirs}
        strongest = max(peers, key=peers.get)
        cells = [arch, row, f"{value:.0f}"]
        cells += [f"{peers[title]:.0f}" if title in peers else "-" for title in columns(device)]
        cells += [f"{value / peers['PyTorch']:.2f}x", f"**{value / peers[strongest]:.2f}x** {strongest}"]
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
    titles = ["network", "images a second", "overinterp", *columns(args.device), "to PyTorch", "to the strongest"]
    print("| " + " | ".join(titles) + " |")
    print("|" + "---|" * len(titles), flush=True)
    for arch in args.arch or peer.NETWORKS:
        rates = compare(args.binary, arch, args.rounds, args.threads, args.device)
    forward = peer.forward_batch(args.device)
    batches = peer.BATCH if forward == peer.BATCH else f"{peer.BATCH}, {forward} in forward passes"
    others = f"; {forward_peers.versions()}" if args.device == "cpu" else ""
    print(
        f"\n{processor()}, {rates['isa']}, {args.threads} threads; PyTorch {torch.__version__} in its faster memory "
        f"layout, `frozen` with batch norm folded (optimize_for_inference){others}; batch {batches}, "
        f"medians of {args.rounds} alternating runs"
    )


if __name__ == "__main__":
    main()
