#!/usr/bin/env python3
"""PyTorch's rates in one of the four forms in which people run it, a JSON object a line as soon as each is known.

usage: forms.py FORM [--device cuda] [--arch NAME ...] [--seconds 0.5]

FORM is `eager` (single precision), `tf32` (the same with TF32 allowed), `bf16` (`channels_last`, autocast to bfloat16) or
`compile` (`torch.compile`, single precision). Ends with status 3 where there is no PyTorch or no such device.
"""

import argparse
import contextlib
import json
import sys
import time

FORMS = ["eager", "tf32", "bf16", "compile"]


def say(**line):
    print(json.dumps(line), flush=True)


def works(arch, form, device):
    """What is timed, by name, each with its number of images."""
    import peer
    import torch
    import torch.nn.functional as F

    torch.manual_seed(0)
    layout = torch.channels_last if form == "bf16" else torch.contiguous_format
    many = peer.forward_batch(device)
    images = torch.randn(peer.BATCH, 3, 32, 32, device=device).to(memory_format=layout)
    more = torch.randn(many, 3, 32, 32, device=device).to(memory_format=layout)
    labels = torch.randint(0, 10, (peer.BATCH,), device=device)

    def autocast():
        return torch.autocast(device, dtype=torch.bfloat16) if form == "bf16" else contextlib.nullcontext()

    def ready(network):
        return torch.compile(network) if form == "compile" else network

    network = peer.NETWORKS[arch]().to(device, memory_format=layout).train()
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=5e-4)
    learner = ready(network)
    resting = ready(peer.NETWORKS[arch]().to(device, memory_format=layout).eval().requires_grad_(False))
    mask = torch.zeros(peer.BATCH, 1, 32, 32, device=device, requires_grad=True)

    def train_step():
        optimiser.zero_grad()
        with autocast():
            loss = F.cross_entropy(learner(images), labels)
        loss.backward()
        optimiser.step()

    def forward():
        with torch.no_grad(), autocast():
            resting(more)

    def gradient_round():
        with autocast():
            logits = resting((1 - mask) * images)
        confidence = F.softmax(logits.float(), 1).gather(1, labels[:, None])
        torch.autograd.grad(confidence.sum(), mask)

    return {
        "evaluation": (forward, many),
        "training step": (train_step, peer.BATCH),
        "gradient round": (gradient_round, peer.BATCH),
    }


def images_per_second(work, images, device, seconds):
    import torch

    wait = torch.cuda.synchronize if device != "cpu" else lambda: None
    for _ in range(3):
        work()
    wait()
    start, runs = time.perf_counter(), 0
    while runs == 0 or time.perf_counter() - start < seconds:
        for _ in range(1 if device == "cpu" else 10):
            work()
            runs += 1
        wait()
    return runs * images / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("form", choices=FORMS)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--arch", action="append")
    parser.add_argument("--seconds", type=float, default=0.5)
    args = parser.parse_args()
    try:
        import torch
    except ImportError as error:
        sys.exit(say(problem=f"there is no PyTorch for {sys.executable}: {error}") or 3)
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit(say(problem=f"PyTorch {torch.__version__} finds no GPU") or 3)
    import peer  # forbids TF32

    if args.form == "tf32":
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    card = torch.cuda.get_device_name() if args.device == "cuda" else "cpu"
    say(pytorch=torch.__version__, card=card)
    for arch in args.arch or peer.NETWORKS:
        for name, (work, images) in works(arch, args.form, args.device).items():
            say(arch=arch, work=name, images_per_second=images_per_second(work, images, args.device, args.seconds))


if __name__ == "__main__":
    main()
