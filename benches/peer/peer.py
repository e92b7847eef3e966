"""The same work in PyTorch: the networks of `docs/method.md`, section 2, and what is timed of them.

Every work is timed in the faster of PyTorch's two memory layouts, found once before the timing begins.
"""

import time

import torch
import torch.nn as nn
import torch.nn.functional as F

BATCH = 128
# A GPU needs more at once to be busy; there, candidates and images to classify go through in batches of this size.
GPU_BATCH = 1024

# Single precision is compared, and ours takes no TF32.
torch.backends.cudnn.allow_tf32 = False
torch.backends.cuda.matmul.allow_tf32 = False


def conv_norm(inputs, outputs, kernel, stride, bias=False):
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=bias), nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut: a 1x1 convolution (ResNet18) or none but padding (ResNet20)."""

    def __init__(self, inputs, outputs, stride, projection):
        super().__init__()
        self.first = conv_norm(inputs, outputs, 3, stride)
        self.second = conv_norm(outputs, outputs, 3, 1)
        self.changes = stride != 1 or inputs != outputs
        self.padding = outputs // 4
        self.shortcut = conv_norm(inputs, outputs, 1, stride) if projection and self.changes else None

    def forward(self, x):
        y = self.second(F.relu(self.first(x)))
        if self.shortcut is not None:
            x = self.shortcut(x)
        elif self.changes:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.padding, self.padding))
        return F.relu(y + x)


class ResNet(nn.Module):
    def __init__(self, widths, depth, projection):
        super().__init__()
        self.stem = conv_norm(3, widths[0], 3, 1)
        inputs, blocks = widths[0], []
        for stage, width in enumerate(widths):
            for block in range(depth):
                blocks.append(Block(inputs, width, 2 if stage > 0 and block == 0 else 1, projection))
                inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(inputs, 10)

    def forward(self, x):
        return self.linear(self.blocks(F.relu(self.stem(x))).mean((2, 3)))


def vgg16():
    layers, inputs = [], 3
    for widths in [(64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)]:
        for width in widths:
            layers += [conv_norm(inputs, width, 3, 1, bias=True), nn.ReLU(inplace=True)]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))


NETWORKS = {
    "resnet20": lambda: ResNet([16, 32, 64], 3, projection=False),
    "resnet18": lambda: ResNet([64, 128, 256, 512], 2, projection=True),
    "vgg16": vgg16,
}


def forward_batch(device):
    """Images of a forward pass."""
    return BATCH if device == "cpu" else GPU_BATCH


def works(arch, layout, device):
    """What is timed, by name, with everything got ready."""
    torch.manual_seed(0)
    images = torch.randn(BATCH, 3, 32, 32, device=device).to(memory_format=layout)
    many = torch.randn(forward_batch(device), 3, 32, 32, device=device).to(memory_format=layout)
    labels = torch.randint(0, 10, (BATCH,), device=device)

    learner = NETWORKS[arch]().to(device, memory_format=layout).train()
    optimiser = torch.optim.SGD(learner.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=5e-4)

    def train_step():
        optimiser.zero_grad()
        F.cross_entropy(learner(images), labels).backward()
        optimiser.step()

    resting = NETWORKS[arch]().to(device, memory_format=layout).eval().requires_grad_(False)
    with torch.inference_mode():
        frozen = torch.jit.optimize_for_inference(torch.jit.trace(resting, many))

    def forward(network):
        def run():
            with torch.inference_mode():
                network(many)

        return run

    mask = torch.zeros(BATCH, 1, 32, 32, device=device, requires_grad=True)
    classes = labels[:, None]

    def gradient_round():
        confidence = F.softmax(resting((1 - mask) * images), 1).gather(1, classes)
        torch.autograd.grad(confidence.sum(), mask)

    return {
        "forward": forward(resting),
        "frozen forward": forward(frozen),
        "train step": train_step,
        "gradient round": gradient_round,
    }


def seconds(work, device):
    """The time of one run: on a GPU, where one may take less than a millisecond, the mean of twenty."""
    runs = 1 if device == "cpu" else 20
    wait = torch.cuda.synchronize if device != "cpu" else lambda: None
    wait()
    start = time.perf_counter()
    for _ in range(runs):
        work()
    wait()
    return (time.perf_counter() - start) / runs


def fastest_layouts(arch, device):
    """Each work in the memory layout in which it is faster, once it has run some times."""
    chosen = {}
    for layout in (torch.contiguous_format, torch.channels_last):
        for name, work in works(arch, layout, device).items():
            for _ in range(1 if device == "cpu" else 5):
                work()
            time_taken = seconds(work, device)
            if name not in chosen or time_taken < chosen[name][0]:
                chosen[name] = (time_taken, work)
    return {name: work for name, (_, work) in chosen.items()}
