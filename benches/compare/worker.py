"""Runs one Python system in a process of its own; peers-rs is the same for the Rust ones.

    worker.py SYSTEM PRECISION FILE INPUT THREADS time SECONDS | once | write FILE

`time` prints a JSON line of milliseconds, `once` the first number as soon as it is there, `write` the last hidden
state as safetensors. Imports are late: what is not used would count in the time to the first output.
"""

import json
import sys
import time

# Runs that do not count: lazily made buffers and kernels, and the processor's clock.
WARM_UP_RUNS, FEWEST_RUNS = 2, 3


def load_torch(system, precision, file, threads):
    import torch
    from transformers import DebertaV2Model

    torch.set_num_threads(threads)
    model = DebertaV2Model.from_pretrained(file.rpartition("/")[0], dtype=torch.float32, attn_implementation="eager")
    automatic = system == "torch-autocast"
    if precision == "bf16" and not automatic:
        model = model.bfloat16()
    model.eval()

    def prepare(ids, mask):
        ids, mask = torch.from_numpy(ids), torch.from_numpy(mask)

        def run():
            with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=automatic):
                return model(input_ids=ids, attention_mask=mask).last_hidden_state

        return run, lambda output: output.float().numpy()

    return prepare


def load_onnxruntime(system, precision, file, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def prepare(ids, mask):
        inputs = {"input_ids": ids, "attention_mask": mask}
        return lambda: session.run(None, inputs)[0], lambda output: output

    return prepare


def load_openvino(system, precision, file, threads):
    import openvino

    core = openvino.Core()
    model = core.read_model(file)
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
    }
    if system == "openvino-weights8":
        options["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = "128"

    def prepare(ids, mask):
        if system == "openvino-fixed":
            model.reshape({"input_ids": list(ids.shape), "attention_mask": list(mask.shape)})
        request = core.compile_model(model, "CPU", options).create_infer_request()
        inputs = {"input_ids": ids, "attention_mask": mask}
        return lambda: request.infer(inputs, share_inputs=True, share_outputs=True)[0], lambda output: output

    return prepare


def loader(system):
    if system.startswith("torch"):
        return load_torch
    if system.startswith("onnxruntime"):
        return load_onnxruntime
    if system.startswith("openvino"):
        return load_openvino
    sys.exit(f"no such system: {system}")


def times(run, seconds):
    for _ in range(WARM_UP_RUNS):
        run()
    found, start = [], time.perf_counter()
    while len(found) < FEWEST_RUNS or time.perf_counter() - start < seconds:
        begin = time.perf_counter()
        run()
        found.append(1e3 * (time.perf_counter() - begin))
    found.sort()
    return {"median_ms": found[len(found) // 2], "min_ms": found[0], "runs": len(found)}


def main():
    system, precision, file, source, threads, mode, *rest = sys.argv[1:]
    from safetensors.numpy import load_file

    inputs = load_file(source)
    prepare = loader(system)(system, precision, file, int(threads))
    run, numbers = prepare(inputs["input_ids"], inputs["attention_mask"])
    if mode == "time":
        print(json.dumps(times(run, float(rest[0]))), flush=True)
    elif mode == "once":
        print("first", float(numbers(run())[0, 0, 0]), flush=True)
    elif mode == "write":
        import numpy as np
        from safetensors.numpy import save_file

        save_file({"last_hidden_state": np.array(numbers(run()), np.float32)}, rest[0])
    else:
        sys.exit(f"expected time, once or write, found {mode}")


if __name__ == "__main__":
    main()
