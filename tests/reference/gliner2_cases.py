"""What the GLiNER2 fixtures are: the cases, the texts and labels they are asked about, and with which options."""

from dataclasses import dataclass, field

from gliner_cases import WORDS
from pipeline_texts import SMALL

LABELS = {"person": None, "place": None, "company": None}


@dataclass
class Case:
    """One folder; `config` and `encoder` are changes of the tiny model's configurations."""

    name: str
    covers: str
    config: dict = field(default_factory=dict)
    encoder: dict = field(default_factory=dict)
    half: bool = False  # weights of sixteen bits
    torch_file: bool = False  # pytorch_model.bin instead of model.safetensors
    published: bool = False  # as the first models were published: a config of few keys
    none_found: bool = False  # for about half the texts the model says that there is nothing


CASES = [
    Case("lstm", "counting_layer count_lstm, first subtokens"),
    Case("lstm_v2", "counting_layer count_lstm_v2, token_pooling mean, weights of sixteen bits",
         {"counting_layer": "count_lstm_v2", "token_pooling": "mean"}, half=True),
    Case("moe", "counting_layer count_lstm_moe, token_pooling max",
         {"counting_layer": "count_lstm_moe", "token_pooling": "max"}),
    Case("narrow", "max_width 2, share_att_key false, pytorch_model.bin",
         {"span_head": {"max_width": 2}}, {"share_att_key": False}, torch_file=True),
    Case("published", "as first published: no architecture, max_width beside the other keys", published=True),
    Case("none_found", "count_pred finds nothing in about half the texts", none_found=True),
]  # fmt: skip

# What the first versions wrote, and nothing else.
FIRST_KEYS = ["counting_layer", "model_name", "model_type", "token_pooling"]

# What the rule for words has to get right beyond GLiNER's.
SPLITS = [
    "see http://a.b/c_d-e?f=(g) or https://x, HTTPS://Y/z! www.site.org/p www. end",
    "mail a.b+c@d-e.co.uk; _x%y@z.io. bad@host q@w.x1 me@a..bc @handle_1 @ @-x a@@b.cc",
    "http:/no https:// http://",
    "\u017fome@ho\u017ft.com \u0130stanbul@\u015eEH\u0130R.tr \u212a@\u212a.kk http\u017f://K ΣΑΣ ΌΣΟΣ",
    "न\u200dम क्\u200cष \u0301x -\u0301 a-\u0301b",
    "Ends in a link www.example.org",
    "Ends in a mail x@y.org",
    "snake_case-and-dash - _-_ --",
]
TEXTS = SMALL + WORDS + SPLITS

# Labels that are asked about beside the case's own, each of a few texts: name to description, where there is one.
OTHER_LABELS = [
    {"person": "names of people, first and last", "place": "towns, countries; Berlin", "company": ""},
    {"place": None, "company": "firms"},
    {"name of a person": None, "lieu géographique": None, "人名": None, "E-Mail/URL": None},
    {"person": None},
    {},
    {"": None, "person": None},
    {" ": None, "[SEP]": None, "person\n or  not": None},
    {label: None for label in "abcdefghij"},
]
OTHER_TEXTS = [SMALL[0], SMALL[9]]

# Texts that are asked with other options.
OPTION_TEXTS = [SMALL[0], SMALL[1], SMALL[9]]
DEFAULTS = {"threshold": 0.5, "overlap_policy": None}
OPTIONS = [
    {"threshold": 0.9, "overlap_policy": None},
    {"threshold": 0.2, "overlap_policy": None},
    {"threshold": 0.2, "overlap_policy": "flat"},
    {"threshold": 0.2, "overlap_policy": "nested"},
    {"threshold": 0.2, "overlap_policy": "longest"},
    {"threshold": 0.2, "overlap_policy": "allow"},
]
# Texts whose logits are recorded.
INNER_TEXTS = [SMALL[0], "a", SMALL[6], SMALL[-1]]

# Classification: a task and its labels.
TASKS = [
    ("sentiment", {"positive": None, "negative": None}),
    ("topic of the text", {"travel": None, "business": "firms and money", "film": "", "人": None, "travel film": None}),
    ("intent", {"yes": "the answer is yes", "no": "the answer is no", "maybe": "none of both"}),
    ("one", {"only": None}),
    ("", {"": None, "a": None}),
]
TASK_TEXTS = [SMALL[0], SMALL[2], SMALL[6], SMALL[7], SMALL[9], SMALL[14], SPLITS[0]]
MULTI_THRESHOLDS = [0.5, 0.9]

# Several texts at once: the labels of all, or of each, and the size of a batch.
BATCHES = [
    ([SMALL[0], "", SMALL[3], "   ", SMALL[-1], "a"], LABELS, 8),
    ([SMALL[0], SMALL[1], SMALL[9]], OTHER_LABELS[0], 2),
    ([SMALL[0], "", SMALL[9], SMALL[1], "Anna"],
     [{"person": None, "place": None}, {"person": "someone"}, {"place": None, "人名": None}, {}, LABELS], 8),
]  # fmt: skip
TASK_BATCH = [SMALL[0], "", SMALL[9], SPLITS[0], "Anna"]
