"""Tiny checkpoints as PyTorch writes them, each with the tensors that reading it must give.

    python make_checkpoint_fixtures.py

Writes ../fixtures/checkpoints/CASE: the weights files of the case and expected.safetensors, every tensor of the
state dict under its own name and in its own element type. `model_zip` and `model_legacy` are whole models: the
weights of ../fixtures/models/v3 in PyTorch's two formats.
"""

import io
import pickle
import shutil
import warnings
from collections import OrderedDict

import torch
from fixture_files import FIXTURES, fresh_folder, generator, require_pinned_versions, write_json, write_tensors
from safetensors.torch import load_file

FOLDER = FIXTURES / "checkpoints"
WORDS = "deberta.embeddings.word_embeddings.weight"


def normal(*shape, dtype=torch.float32, seed=""):
    return torch.randn(*shape, generator=generator("checkpoints", seed, *shape), dtype=torch.float64).to(dtype)


def types():
    """Every element type, as a state dict of plain tensors."""
    state = {WORDS: normal(3, 4)}
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        state[f"deberta.{dtype}".replace("torch.", "")] = normal(2, 3, dtype=dtype)
    for dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32):
        low = 0 if dtype.is_signed is False else -5
        state[f"deberta.{dtype}".replace("torch.", "")] = torch.arange(low, low + 6).reshape(2, 3).to(dtype)
    state["deberta.bool"] = torch.tensor([True, False, True])
    state["deberta.embeddings.position_ids"] = torch.arange(8).expand((1, -1))
    return state


def views():
    """Shared storages, views in every order, parameters, and tensors of no or one element."""
    words = normal(5, 4)
    pool = normal(40, seed="pool")
    grid = normal(3, 4, 5, seed="grid")
    parameter = torch.nn.Parameter(normal(4, seed="parameter"))
    with_state = torch.nn.Parameter(normal(2, seed="state"), requires_grad=False)
    with_state.note = "an attribute"
    with_attribute = normal(3, seed="attribute")
    with_attribute.note = 7
    return OrderedDict(
        {
            WORDS: words,
            "lm_head.decoder.weight": words,
            "lm_head.rows": words[1:3],
            "transposed": words.t(),
            "columns": words[:, 1:3],
            "every_other": pool[1::2],
            "offset": pool[7:19].view(3, 4),
            "flipped_axes": grid.permute(2, 0, 1),
            "slice_of_permuted": grid.permute(2, 0, 1)[1:4, ::2, 1],
            "repeated": pool[3:4].expand(2, 3),
            "one_row": pool[5:25].view(4, 5)[2:3].t(),
            "scalar": torch.tensor(2.5),
            "scalar_view": pool[11],
            "empty": torch.empty(0),
            "empty_matrix": torch.empty(0, 3),
            "empty_view": pool[4:4],
            "parameter": parameter,
            "parameter.transposed": torch.nn.Parameter(normal(2, 3, seed="pt").t()),
            "parameter_with_state": with_state,
            "tensor_with_attribute": with_attribute,
        }
    )


class Encoder(torch.nn.Module):
    """Modules that are named as those of a DeBERTa."""

    def __init__(self):
        super().__init__()
        self.deberta = torch.nn.Module()
        self.deberta.embeddings = torch.nn.Module()
        self.deberta.embeddings.word_embeddings = torch.nn.Embedding(6, 4, padding_idx=0)
        self.deberta.embeddings.LayerNorm = torch.nn.LayerNorm(4)
        self.deberta.embeddings.register_buffer("position_ids", torch.arange(5).expand((1, -1)))
        self.classifier = torch.nn.Linear(4, 2)
        self.decoder = torch.nn.Linear(4, 6, bias=False)
        self.decoder.weight = self.deberta.embeddings.word_embeddings.weight
        for name, parameter in self.named_parameters():
            parameter.data = normal(*parameter.shape, seed=name)
        self.decoder.weight = self.deberta.embeddings.word_embeddings.weight


def module():
    """What `state_dict()` returns: an ordered dictionary with an attribute, and tied weights."""
    return Encoder().state_dict()


def training(state):
    """A state dict among the things that training scripts save."""
    return {
        "epoch": 3,
        "loss": 0.25,
        "best": None,
        "done": False,
        "seed": 2**70,
        "note": "état",
        "betas": (0.9, 0.999),
        "optimizer": {"state": {0: {"step": torch.tensor(3.0), "exp_avg": normal(3, 4)}}, "param_groups": [{"params": [0]}]},
        "model": OrderedDict(state_dict=state, config={"hidden_size": 4}),
    }


def training_with_bytes(state):
    """The same with things that take a function call before protocol 4, which the reader refuses."""
    return {"raw": b"\x00\x01", "seen": {1, 2}, "changing": bytearray(b"ab"), "fixed": frozenset({3}), **training(state)}


def save(state, path, **options):
    torch.save(state, path, **options)


def save_legacy(state, path, **options):
    """The older format. PyTorch names storages after addresses; numbered ones make the same file each time."""
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=False, **options)
    buffer.seek(0)
    sizes = {}

    class Reader(pickle.Unpickler):
        def persistent_load(self, saved):
            _, kind, key, *_ = saved
            sizes.setdefault(key, 1 if kind is torch.UntypedStorage else kind.dtype.itemsize)

        def find_class(self, module, name):
            # There are no storages yet of which to make tensors.
            if name.startswith("_rebuild"):
                return lambda *arguments: None
            return super().find_class(module, name)

    for _ in range(4):
        Reader(buffer).load()
    head = buffer.getvalue()[: buffer.tell()]
    blobs = {}
    for key in pickle.load(buffer):
        count = buffer.read(8)
        blobs[key] = count + buffer.read(int.from_bytes(count, "little") * sizes[key])
    assert not buffer.read()
    names = {key: f"{number:0{len(key)}}" for number, key in enumerate(sizes)}
    for key, name in names.items():
        head = head.replace(key.encode(), name.encode())
    with open(path, "wb") as file:
        file.write(head)
        pickle.dump([names[key] for key in sizes], file, protocol=2)
        for key in sizes:
            file.write(blobs[key])


def save_storage_views(path):
    """The older format as the oldest versions wrote it: storages that are views of another, by metadata in their
    persistent ids, and `_rebuild_tensor`. PyTorch still reads it and no longer writes it."""
    root = torch.arange(20, dtype=torch.float32)

    class Storage:
        def __init__(self, view):
            self.view = view

    class Tensor:
        def __init__(self, view, offset, shape, strides):
            self.arguments = (Storage(view), offset, shape, strides)

        def __reduce__(self):
            return torch._utils._rebuild_tensor, self.arguments

    class Writer(pickle._Pickler):
        def persistent_id(self, thing):
            if isinstance(thing, Storage):
                return "storage", torch.FloatStorage, "7", "cpu", len(root), thing.view
            return None

    state = OrderedDict(
        {
            WORDS: Tensor(None, 0, (5, 4), (4, 1)),
            "viewed": Tensor(("8", 4, 12), 1, (2, 3), (3, 1)),
            "viewed.transposed": Tensor(("8", 4, 12), 0, (4, 3), (1, 4)),
            "tail": Tensor(("9", 18, 2), 0, (2,), (1,)),
        }
    )
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    with open(path, "wb") as file:
        for thing in (0x1950A86A20F9469CFC6C, 1001, system):
            pickle.dump(thing, file, protocol=2)
        Writer(file, protocol=2).dump(state)
        pickle.dump(["7"], file, protocol=2)
        file.write(len(root).to_bytes(8, "little") + root.numpy().tobytes())
    return torch.load(path, weights_only=False)


def case(name, state, write, wrap=lambda state: state, **options):
    folder = fresh_folder(FOLDER / name)
    write(wrap(state), folder / "pytorch_model.bin", **options)
    write_tensors(folder / "expected.safetensors", state)


def sharded():
    folder = fresh_folder(FOLDER / "sharded")
    state = module()
    shards = {
        "pytorch_model-00001-of-00002.bin": [n for n in state if "embeddings" in n or n == "decoder.weight"],
        "pytorch_model-00002-of-00002.bin": [n for n in state if "classifier" in n],
    }
    for shard, names in shards.items():
        torch.save({name: state[name] for name in names}, folder / shard)
    index = {
        "metadata": {"total_size": sum(t.nbytes for t in state.values())},
        "weight_map": {name: shard for shard, names in shards.items() for name in names},
    }
    write_json(folder / "pytorch_model.bin.index.json", index)
    write_tensors(folder / "expected.safetensors", state)


def models():
    source = FIXTURES / "models" / "v3"
    state = load_file(source / "model.safetensors")
    for name, write in (("model_zip", save), ("model_legacy", save_legacy)):
        folder = fresh_folder(FOLDER / name)
        write(OrderedDict(state), folder / "pytorch_model.bin")
        shutil.copyfile(source / "config.json", folder / "config.json")


def main():
    require_pinned_versions()
    fresh_folder(FOLDER)
    warnings.filterwarnings("ignore", message="TypedStorage is deprecated")
    for name, state in (("types", types()), ("views", views()), ("module", module())):
        case(name, state, save)
        case(f"{name}_legacy", state, save_legacy)
    for protocol in (3, 4, 5):
        case(f"protocol_{protocol}", views(), save, pickle_protocol=protocol)
        case(f"protocol_{protocol}_legacy", views(), save_legacy, pickle_protocol=protocol)
    case("training", module(), save, wrap=training)
    case("training_legacy", module(), save_legacy, wrap=training)
    case("training_protocol_5", module(), save, wrap=training_with_bytes, pickle_protocol=5)
    folder = fresh_folder(FOLDER / "storage_views")
    write_tensors(folder / "expected.safetensors", save_storage_views(folder / "pytorch_model.bin"))
    sharded()
    models()


if __name__ == "__main__":
    main()
