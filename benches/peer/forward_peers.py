"""Forward passes with what else people run a network with on a CPU: torch.compile, ONNX Runtime and OpenVINO.

Each peer is a function that gets a network ready and returns a function which passes the images through it once, or as often at the
same time as the peer likes best, and returns the outputs of each time. All compute in single precision.
"""

import copy
import importlib.metadata
import sys

import torch
import torch.nn as nn

import peer

TOLERANCE = 1e-3


def torch_compile(network, images, threads):
    """The fastest of both memory layouts, each with and without weights made constant and batch norms folded (freezing)."""
    torch.compiler.reset()  # what was compiled for other networks counts against a limit
    fastest = None
    for layout in (torch.contiguous_format, torch.channels_last):
        for freezing in (False, True):
            run = compiled(network, images, layout, freezing)
            run()
            run()
            seconds = peer.seconds(run, "cpu")
            if fastest is None or seconds < fastest[0]:
                fastest = (seconds, run)
    return fastest[1]


def compiled(network, images, layout, freezing):
    network = copy.deepcopy(network).to(memory_format=layout)
    images = images.to(memory_format=layout)
    # With `fullgraph` it fails where otherwise it would quietly go on uncompiled.
    function = torch.compile(network, dynamic=False, fullgraph=True, options={"freezing": freezing})

    def run():
        with torch.no_grad():
            return [function(images)]

    return run


def onnx_model(network, images):
    return torch.onnx.export(network, (images,), dynamo=True, verbose=False).model_proto.SerializeToString()


def onnx_runtime(network, images, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Its threads must not go on spinning in the time of whoever comes next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(onnx_model(network, images), options, providers=["CPUExecutionProvider"])
    inputs = {session.get_inputs()[0].name: images.numpy()}
    return lambda: session.run(None, inputs)


def openvino(network, images, threads):
    import openvino as ov

    core = ov.Core()
    # Without the precision it would compute in bfloat16 where the processor can.
    settings = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
    }
    ready = core.compile_model(core.read_model(onnx_model(network, images)), "CPU", settings)
    requests = [ready.create_infer_request() for _ in range(ready.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))]
    for request in requests:
        request.set_input_tensor(ov.Tensor(images.numpy(), shared_memory=True))

    def run():
        for request in requests:
            request.start_async()
        for request in requests:
            request.wait()
        return [request.get_output_tensor().data for request in requests]

    return run


PEERS = {"torch.compile": torch_compile, "ONNX Runtime": onnx_runtime, "OpenVINO": openvino}


def versions():
    found = []
    for name, package in {"ONNX Runtime": "onnxruntime", "OpenVINO": "openvino"}.items():
        try:
            found.append(f"{name} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


def settled(arch, images):
    """A network whose batch norms have the statistics of the images.

    With those that they begin with they do nearly nothing, and a peer that left them out would not be noticed.
    """
    network = peer.NETWORKS[arch]().train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of all passes, of which there is one
    with torch.no_grad():
        network(images)
    return network.eval().requires_grad_(False)


def difference(outputs, expected):
    """The greatest difference, relative to the greatest output expected."""
    return float((torch.as_tensor(outputs) - expected).abs().max() / expected.abs().max())


def works(arch, threads):
    """What is timed, by the peer's name, each with its number of images; without the peers that are not here or are wrong."""
    torch.manual_seed(0)
    images = torch.randn(peer.BATCH, 3, 32, 32)
    network = settled(arch, images)
    with torch.inference_mode():
        expected = network(images)
    ready = {}
    for name, prepare in PEERS.items():
        try:
            run = prepare(network, images, threads)
            outputs = run()
        except Exception as error:  # each peer has its own kinds
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            print(f"skipped: {name} cannot be had here for {arch}: {reason}", file=sys.stderr, flush=True)
            continue
        worst = max(difference(output, expected) for output in outputs)
        if not worst <= TOLERANCE:  # a NaN is wrong too
            print(f"left out: {name} disagrees with PyTorch for {arch} by {worst:.1e}", file=sys.stderr, flush=True)
            continue
        run()
        ready[name] = (run, len(outputs) * peer.BATCH)
    return ready
