"""The texts of the task fixtures, written for this project."""

from pipeline_texts import FIRMS, FIRST, LAST, PLACES

SHORT = [
    "Anna Smith works at Acme in Oslo.",
    "It was slow, but the ending was lovely!",
    "What a terrible film...",
    "a",
    "",
    "  two  spaces around  ",
    "Zu\u0308rich, 東京 and São Paulo ❤️ 😀👍🏽",
    "one line\nand another\twith a tab",
    "Привет, Zoë! مرحبا",
    "Wang, Okafor, Brown & Kowalski met Tom from Initech at Hooli in Oslo. Did Umbrella know? Nobody from Globex said "
    "so, and Peter Müller of Northwind stays in Lagos every winter with Aisha, Li and Ravi.",
]

# Those asked with either template.
TWICE = [SHORT[0], SHORT[3], SHORT[6], SHORT[9]]
LABELS = [
    ["travel"],
    ["film", "work"],
    ["positive", "neutral", "negative"],
    ["東京", "música 🎵", "погода"],
    ["very good", "old town", "music", "Zoë's book", "a", "New York, London and Paris", "bad  news "],
]
TEMPLATES = ["This example is {}.", "“{}” — is it about that?"]

MASKED = [
    "Anna works at [MASK] in Oslo.",
    "[MASK] works at Acme.",
    "It rains in Paris every [MASK]",
    "[MASK]",
    "Anna [MASK] from Paris to [MASK] in the winter.",
    "[MASK][MASK] [MASK]",
    "東京 is a [MASK] city 😀",
    "  two  spaces  [MASK]  here  ",
    "The film was[MASK], but the music was lovely",
    "one line\nand [MASK] another",
]
# Those asked with targets: one mask, and several.
TARGETED = [MASKED[0], MASKED[1], MASKED[4], MASKED[7]]
# Words that are pieces, words that are not, pieces with the mark of either kind, special tokens, and doubles.
TARGETS = [
    ["a", "s", "e"],
    ["▁the", "▁was", "▁Oslo"],
    ["Ġthe", "Ġwas", "ing"],
    ["Anna", "wonderful", "Brown"],
    ["the", "the", "the film", "東京", "zzz"],
    ["[SEP]", "good", "book"],
    ["Paris"],
]

QUERIES = [
    ("Who works at Acme?", [
        "Anna Smith works at Acme in Oslo.",
        "The film was slow, but the music was lovely.",
        "東京 😀",
        "",
        "Did Acme (the company) open an office in Paris in 2019?",
        "Peter moved from Berlin to the old town, and nobody knew why! " * 6,
    ]),
    ("Does it rain in Zürich?", [
        "It rains in Zürich every winter, so Tanaka stays home with a good book.",
        "  Zu\u0308rich  ",
        "What a terrible, boring and badly written story.",
    ]),
    ("", ["a", "b"]),
    ("What is said of Chloé Larsen, who met Tom from Initech at Hooli in Oslo every winter and stays in Lagos with "
     "Aisha, Li and Ravi, so that nobody from Globex knows about the wonderful city?", [
        "Chloé Larsen met Tom. " * 10,
        "Nothing.",
     ]),
]  # fmt: skip

EMBEDDED = [*SHORT, "Anna Smith works at Acme in Oslo. " * 9]


def story(sentences):
    """A context of so many sentences, each with other names."""
    lines = []
    for i in range(sentences):
        first, last = FIRST[i % len(FIRST)], LAST[(3 * i) % len(LAST)]
        place, firm = PLACES[(7 * i) % len(PLACES)], FIRMS[(5 * i) % len(FIRMS)]
        frames = [
            f"{first} {last} works at {firm} in {place}.",
            f"{first}'s brother bought {i} tickets for {place}.",
            f"It rains in {place}, so {first} stays home.",
        ]
        lines.append(frames[i % 3])
    return " ".join(lines)


QUESTIONS = [
    ("Where does Anna work?", "Anna Smith works at Acme in Oslo."),
    ("Who?", "Tom"),
    ("What?", "a b"),
    ("Who met whom?", "Anna met Tom. ANNA met TOM. anna met tom, and Anna met Tom again; anna"),
    ("Where is Zürich?", "  Zu\u0308rich and Zürich are  the same   town; 東京 is not 😀👍🏽, said José\u00a0García."),
    ("Кто?", "Привет, Zoë! مرحبا\none line\tand [SEP] another"),
    ("  Is there a space before this question?", "\n Yes , there is one, and one after it. "),
    ("How many tickets did Maria's brother buy?", story(14)),
    ("Why?", story(28)),
    ("Who stays home in Lagos when it rains?", "東京 and 日本語 too. " * 3 + story(5) + " ÉTÉ été Été. " * 4),
]
LONG = QUESTIONS[7:]
VERY_LONG = ("Where does nobody work?", story(40))
