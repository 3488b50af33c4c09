"""What the GLiNER fixtures are: the cases, the texts and labels they are asked about, and with which options."""

from dataclasses import dataclass, field

from pipeline_texts import SMALL

LABELS = ["person", "place", "company"]


@dataclass
class Case:
    """One folder; `config` and `encoder` are changes of the tiny model's configurations."""

    name: str
    covers: str
    config: dict = field(default_factory=dict)
    encoder: dict = field(default_factory=dict)
    labels: tuple = tuple(LABELS)  # what most texts are asked about
    torch_file: bool = False  # pytorch_model.bin instead of model.safetensors
    tokens: str = "special"  # how [FLERT], <<ENT>> and <<SEP>> are in the tokenizer: special, plain or absent
    most_tokens: int | None = None  # the tokenizer's model_max_length, where it has one
    published: bool = False  # as the first models were published: the encoder's config and tokenizer are elsewhere

    @property
    def padding_matters(self):
        """Whether the reference's answers hang on the padding: fused layers are weighed by a mean over it, too."""
        return self.config.get("fuse_layers", False)


CASES = [
    Case("base", "as published: LSTM, first subtokens, added tokens beyond the vocabulary"),
    Case("projection", "hidden_size other than the encoder's", {"hidden_size": 24}, torch_file=True),
    Case("no_rnn", "num_rnn_layers 0", {"num_rnn_layers": 0}),
    Case("two_rnn_layers", "an LSTM of two layers", {"num_rnn_layers": 2}),
    Case("pooling_last", "subtoken_pooling last", {"subtoken_pooling": "last"}),
    Case("pooling_mean", "subtoken_pooling mean", {"subtoken_pooling": "mean"}),
    Case("pooling_max", "subtoken_pooling max", {"subtoken_pooling": "max"}),
    Case("narrow", "max_width 2 and max_len 12: texts cut by words", {"max_width": 2, "max_len": 12}),
    Case("short_tokenizer", "model_max_length: input cut by tokens, words without any", most_tokens=36),
    Case("one_label", "a single label of two words, max_width 1", {"max_width": 1}, labels=("family name",)),
    Case("label_tokens", "embed_ent_token false: labels are the token after theirs", {"embed_ent_token": False}),
    Case("fused", "fuse_layers, with a projection", {"fuse_layers": True, "hidden_size": 12}, {"num_hidden_layers": 4}),
    Case("plain_tokens", "added tokens that are not special, as first versions added them", tokens="plain"),
    Case("absent_tokens", "class_token_index and vocab_size -1, tokens not yet in the tokenizer", tokens="absent"),
    Case("published", "as first published: keys of then, a buffer among the weights, the encoder's files elsewhere",
         {"hidden_size": 24}, tokens="absent", torch_file=True, published=True),
]  # fmt: skip

# Configs of the first versions had these keys of the later ones, and others, most of them of training.
FIRST_KEYS = ["dropout", "fine_tune", "hidden_size", "max_len", "max_neg_type_ratio", "max_types", "max_width", "name",
              "span_mode", "subtoken_pooling"]  # fmt: skip
OTHER_KEYS = {
    "eval_every": 5000, "log_dir": "logs", "lr_encoder": "1e-5", "lr_others": "5e-5", "num_steps": 30000,
    "prev_path": "none", "random_drop": True, "root_dir": "runs", "scheduler_type": "cosine", "shuffle_types": True,
    "size_sup": -1, "train_batch_size": 8, "train_data": "train.json", "val_data_dir": "none", "warmup_ratio": 0.1,
}  # fmt: skip

# What the rule for words has to get right.
WORDS = [
    "well-known snake_case foo--bar -x y- _z__ a-b_c-d - _ –dash—",
    "Acme\u2019s Zu\u0308rich e\u0301t\u00e9 caf\u00e9",
    "\ufeffmark, file\x1cgroup\x1drecord\x1eunit\x1fend, line\u2028paragraph\u2029next\u0085last",
    "tie\u203fbar Ⓐ Ⅷ ½ ① ² ٣ 三",
    "हिन्दी में लिखा, ภาษาไทย, Ελληνικά",
    "1️⃣ 👩‍👩‍👧 🇫🇷 👍🏽",
    "soft\u00adhyphen non\u2011breaking zero\u200bwidth join\u200der",
    "<<ENT>> person <<SEP>> Anna [MASK]",
    "𝐀nna 𠮷野家 𐍈",
]
TEXTS = SMALL + WORDS

# Labels that are asked about beside the case's own, each of a few texts.
OTHER_LABELS = [
    ["name of a person", "lieu géographique", "人名", "E-Mail/URL"],
    ["place", "person", "place", "person", "company"],
    ["person"],
    [],
    ["", "person"],
    [" ", "person"],
    ["[SEP]", "person\n or  not"],
    ["<<ENT>>", "person", "place"],
    ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"],
]
OTHER_TEXTS = [SMALL[0], SMALL[9]]

# Texts that are asked with other options.
OPTION_TEXTS = [SMALL[0], SMALL[1], SMALL[9]]
DEFAULTS = {"threshold": 0.5, "flat_ner": True, "multi_label": False}
OPTIONS = [
    {"threshold": 0.2, "flat_ner": True, "multi_label": False},
    {"threshold": 0.9, "flat_ner": True, "multi_label": False},
    {"threshold": 0.3, "flat_ner": False, "multi_label": False},
    {"threshold": 0.3, "flat_ner": True, "multi_label": True},
    {"threshold": 0.3, "flat_ner": False, "multi_label": True},
]
# Texts whose input and logits are recorded.
INNER_TEXTS = [SMALL[0], "a", WORDS[0], SMALL[-1]]
INNER_LABELS = [OTHER_LABELS[i] for i in (1, 3, 5, 7)]

# Several texts at once: the labels of all, or of each, and the size of a batch.
BATCHES = [
    ([SMALL[0], "", SMALL[3], "   ", SMALL[-1], "a"], None, 8),
    ([SMALL[0], SMALL[1], SMALL[9]], None, 2),
    (["", " \n"], None, 8),
    ([SMALL[0], "", SMALL[9], SMALL[1], "Anna"],
     [["person", "place"], ["never asked"], ["place", "place", "company", "人名"], [], ["person"]], 8),
]  # fmt: skip
