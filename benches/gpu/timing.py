"""Times calls by events of the device; on a processor, in a dry run, by its clock."""

import math
import time
from statistics import median

import torch

# Events tick in half microseconds: so long is the work between two of them at least, if calls may be repeated.
SPAN_US, MOST_REPEATS = 1000.0, 64
WARM_UP_S, WARM_UP_RUNS = 0.05, 3
# So many samples are queued before the host waits for them, so that the device never waits for the host between them.
QUEUED, FEWEST_SAMPLES = 8, 5


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def warm_up(run, device, seconds=WARM_UP_S):
    """Lets lazily made things be made and clocks rise."""
    start, runs = time.perf_counter(), 0
    while runs < WARM_UP_RUNS or time.perf_counter() - start < seconds:
        run()
        synchronize(device)
        runs += 1


def _samples(run, repeats, count, device):
    """Microseconds per call, several times."""
    if device.type != "cuda":
        found = []
        for _ in range(count):
            start = time.perf_counter()
            for _ in range(repeats):
                run()
            found.append((time.perf_counter() - start) * 1e6 / repeats)
        return found
    pairs = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(count)]
    for start, end in pairs:
        start.record()
        for _ in range(repeats):
            run()
        end.record()
    torch.cuda.synchronize()
    return [start.elapsed_time(end) * 1e3 / repeats for start, end in pairs]


def repeats_for(run, device):
    """How many calls fill the span between two events."""
    estimate = min(_samples(run, 1, 3, device))
    return max(1, min(MOST_REPEATS, math.ceil(SPAN_US / max(estimate, 1e-3))))


def on_device(run, seconds, device, repeats=1, inside=1):
    """Median and least time of a call that does its work `inside` times."""
    warm_up(run, device, min(WARM_UP_S, seconds))
    found, start = [], time.perf_counter()
    queued = QUEUED if device.type == "cuda" else 1
    while len(found) < FEWEST_SAMPLES or time.perf_counter() - start < seconds:
        found += _samples(run, repeats, queued, device)
    return _figures([sample / inside for sample in found])


def on_host(run, seconds, device):
    """The same by the clock of the host, for calls that wait for their result."""
    warm_up(run, device, min(WARM_UP_S, seconds))
    found, start = [], time.perf_counter()
    while len(found) < FEWEST_SAMPLES or time.perf_counter() - start < seconds:
        begin = time.perf_counter()
        run()
        found.append((time.perf_counter() - begin) * 1e6)
    return _figures(found)


def _figures(samples):
    return {"median_us": round(median(samples), 3), "min_us": round(min(samples), 3), "runs": len(samples)}


def record(run, calls):
    """Records so many calls as a graph, and gives it with the output of the last. Raises what cannot be recorded."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP_RUNS):
            run()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    output = None
    # Other threads, such as those that compile, may go on meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        for _ in range(calls):
            output = run()
    return graph, output
