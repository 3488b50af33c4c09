"""Generates NER sentences: patterns of ner_templates.py filled with Faker's and well-known names.

A sample is `(text, [(start, end, kind)])` in characters. One pattern and one name in ten, chosen by a
hash of its text, are kept for the held-out set and never used in training. (`KEEP` names the first
sentence anyone tries: it stays in training whatever its hash says.)
"""

import hashlib
import importlib
import random
import re

from faker import Faker

import ner_lists as lists
from ner_clauses import clause
from common import detokenise, read_banking, read_glosses, read_sst2
from ner_templates import EMPTY, MIXED, lines
from wnut import read_wnut

KEEP = {"John", "Doe", "Google", "California", "{PER} works at {ORG} in {LOC}."}
LOCALES = "en_US en_GB en_IN en_IE es_ES es_MX de_DE fr_FR it_IT pt_BR pl_PL nl_NL sv_SE fi_FI tr_TR no_NO da_DK id_ID ro_RO hr_HR".split()


def held_out(name):
    return name not in KEEP and hashlib.sha256(name.encode()).digest()[0] < 26


def flat(provider, attribute):
    values = getattr(provider, attribute, ())
    return [v for v in values if isinstance(v, str) and re.fullmatch(r"[^\W\d_][\w'’-]*(?: [^\W\d_][\w'’-]*)?", v)]


class Names:
    """The pools of one side: training, or held out."""

    def __init__(self, side):
        def keep(values):
            values = sorted(set(values))
            return [v for v in values if held_out(v) == (side == "held-out")]

        self.side = side
        self.first, self.last = [], []
        for locale in LOCALES:
            provider = importlib.import_module(f"faker.providers.person.{locale}").Provider
            first = set(flat(provider, "first_names") + flat(provider, "first_names_female") + flat(provider, "first_names_male"))
            self.first.append(keep(first))
            self.last.append(keep(flat(provider, "last_names")))
        self.people = keep(lists.PEOPLE)
        self.companies = keep(lists.COMPANIES)
        self.organisations = keep(lists.ORGANISATIONS)
        self.universities = keep(lists.UNIVERSITIES)
        self.countries = keep(lists.COUNTRIES)
        self.states = keep(lists.STATES)
        self.cities = keep(lists.CITIES)
        self.places = keep(lists.PLACES)
        self.fake = Faker(["en_US", "en_GB", "en_IN"])
        self.fake.seed_instance(1 if side == "held-out" else 2)
        # Drawn once: Faker is slow, and a name's side has to be known before it is used.
        made = {f: set() for f in ("city", "country", "job", "user_name", "street_name", "last_name")}
        for _ in range(6000):
            for kind, pool in made.items():
                pool.add(getattr(self.fake, kind)())
        self.fake_cities = keep(made["city"])
        self.streets = keep(made["street_name"])
        self.fake_countries = [c for c in keep(made["country"]) if "(" not in c and "," not in c]
        self.fake_last = keep(made["last_name"])
        self.jobs = sorted(j.lower().split(",")[0].split("/")[0] for j in made["job"])
        self.handles = sorted(made["user_name"])
        self.templates = [t for t in lines(MIXED) if held_out(t) == (side == "held-out")]
        self.empty = [t for t in lines(EMPTY) if held_out(t) == (side == "held-out")]

    # Persons

    def locale(self, rng):
        # Mostly the English-speaking world, then everyone else alike.
        return rng.randrange(4) if rng.random() < 0.6 else rng.randrange(len(LOCALES))

    def given(self, rng, k=None):
        return rng.choice(self.first[self.locale(rng) if k is None else k] or self.first[0])

    def surname(self, rng, k=None):
        k = self.locale(rng) if k is None else k
        name = rng.choice(self.last[k] or self.last[0])
        roll = rng.random()
        if roll < 0.03:
            return f"{name}-{rng.choice(self.last[0])}"
        if roll < 0.05:
            return rng.choice(("O'", "Mc", "Mac", "van ", "de ", "von ")) + name
        return name

    def full(self, rng):
        if rng.random() < 0.08:
            return rng.choice(self.people)
        k = self.locale(rng)
        roll = rng.random()
        if roll < 0.06:
            return f"{self.given(rng, k)} {rng.choice('ABCDEFGHJKLMNPRSTW')}. {self.surname(rng, k)}"
        if roll < 0.1:
            return f"{rng.choice('ABCDEFGHJKLMNPRSTW')}. {self.surname(rng, k)}"
        if roll < 0.14:
            return f"{self.given(rng, k)} {self.given(rng, k)} {self.surname(rng, k)}"
        return f"{self.given(rng, k)} {self.surname(rng, k)}"

    def person(self, rng):
        roll = rng.random()
        return self.given(rng) if roll < 0.4 else self.surname(rng) if roll < 0.5 else self.full(rng)

    # Organisations

    def invented(self, rng):
        """A brand nobody has heard of."""
        def syllable():
            return rng.choice("b c d f g k l m n p r s t v z br cr dr gr st tr fl pl qu".split()) + rng.choice("a e i o u ai ee io or an en in on ex ix al el".split())
        word = "".join(syllable() for _ in range(rng.choice((1, 2, 2, 3)))) + rng.choice(("", "", "x", "n", "ly", "ify", "soft", "tech", "net", "co"))
        return word.capitalize()

    def organisation(self, rng):
        roll = rng.random()
        if roll < 0.34:
            return rng.choice(self.companies) + (rng.choice((" Inc.", " Ltd", " UK", " Research")) if rng.random() < 0.05 else "")
        if roll < 0.48:
            return rng.choice(self.organisations)
        if roll < 0.57:
            return rng.choice(self.universities)
        def last():
            return rng.choice(self.fake_last) if rng.random() < 0.5 else self.surname(rng)

        city = rng.choice(self.cities)
        if roll < 0.72:
            return rng.choice((f"{last()}, {last()} and {last()}", f"{last()}-{last()}", f"{last()} Inc", f"{last()} LLC", f"{last()} Group",
                               f"{last()} PLC", f"{last()} & Sons", f"{last()} Ltd", f"{last()} and {last()}", f"{last()} & {last()}"))  # fmt: skip
        if roll < 0.84:
            noun = rng.choice("""Systems,Technologies,Software,Labs,Industries,Partners,Capital,Bank,Energy,Motors,Airlines,Foods,Pharmaceuticals,Insurance,Media,Games,
Robotics,Logistics,Solutions,Holdings,Ventures,Consulting,Entertainment,Records,Pictures,Studios,Telecom,Analytics,Security,Health""".replace("\n", "").split(","))
            head = rng.choice((self.invented(rng), last(), rng.choice("Blue,Red,Green,Golden,Silver,North,Northern,Southern,Pacific,Atlantic,Global,National,First,United,General,Royal,Bright,Quantum,Solar,Apex,Summit,River,Falcon,Eagle,Phoenix".split(","))))
            return f"{head} {noun}" + (rng.choice((" Inc.", " Ltd.", " AG", " GmbH", " Corporation", " Corp.")) if rng.random() < 0.25 else "")
        if roll < 0.9:
            return self.invented(rng)
        return rng.choice((f"the University of {city}", f"{city} University", f"Bank of {city}", f"{city} City Council", f"the {city} Times", f"{city} United", f"{city} FC",
                           f"the {city} Eagles", f"{city} Police Department", f"{last()} University", f"{last()} College", f"{last()} Hospital", f"the {last()} Foundation", f"the {city} Museum of Art",
                           f"St. {self.given(rng)}'s Hospital", f"the Ministry of {rng.choice('Defence Health Education Finance Justice'.split())}", f"the Department of {rng.choice('Energy Transportation Health Labor Justice'.split())}",
                           f"{city} High School", f"{city} Airlines", f"the Institute of {rng.choice('Physics Medicine Technology Economics'.split())}"))  # fmt: skip

    # Places

    def city(self, rng):
        return rng.choice(self.cities) if rng.random() < 0.65 else rng.choice(self.fake_cities)

    def country(self, rng):
        return rng.choice(self.countries) if rng.random() < 0.9 else rng.choice(self.fake_countries)

    def place(self, rng):
        roll = rng.random()
        if roll < 0.35:
            return self.city(rng)
        if roll < 0.6:
            return self.country(rng)
        if roll < 0.78:
            return rng.choice(self.states)
        if roll < 0.91:
            return rng.choice(self.places)
        if roll < 0.95:
            return rng.choice(self.streets)
        return rng.choice(("Lake {}", "Mount {}", "{} Park", "{} Island", "{} Bridge", "{} Airport", "{} Valley", "the {} River", "{} Square", "Port {}", "Fort {}")).format(self.surname(rng))

    # Sentences

    def slot(self, name, rng):
        """Text of a slot and its kind, None for a word that is no entity."""
        name = name.rstrip("0123456789")
        if name == "PER":
            return self.person(rng), "PER"
        if name == "FULL":
            return self.full(rng), "PER"
        if name == "LAST":
            return self.surname(rng), "PER"
        if name == "ORG":
            return self.organisation(rng), "ORG"
        if name == "LOC":
            return self.place(rng), "LOC"
        if name == "CITY":
            return self.city(rng), "LOC"
        if name == "COUNTRY":
            return self.country(rng), "LOC"
        if name == "STATE":
            return rng.choice(self.states), "LOC"
        if name == "NUM":
            return str(rng.choice((rng.randint(1, 31), rng.randint(1, 999)))), None
        if name == "YEAR":
            return str(rng.randint(1900, 2029)), None
        if name == "JOB":
            return rng.choice(self.jobs), None
        if name == "HANDLE":
            return rng.choice(self.handles), None
        if name == "TITLE":
            return rng.choice("Mr. Mrs. Ms. Dr. Prof. Professor Mr Mrs Dr Sir Miss Captain Judge".split()), None
        pool = {"NAT": lists.NATIONALITIES, "LANG": lists.LANGUAGES, "DAY": lists.DAYS, "MONTH": lists.MONTHS,
                "OCC": lists.OCCASIONS, "PROD": lists.PRODUCTS, "ROLE": lists.ROLES}[name]  # fmt: skip
        return rng.choice(pool), None

    def fill(self, template, rng):
        text, spans = "", []
        for part in re.split(r"(\{\w+\})", template):
            if not part.startswith("{"):
                text += part
                continue
            value, kind = self.slot(part[1:-1], rng)
            if not text or text.endswith('"'):
                value = value[0].upper() + value[1:]
            # "the {ORG} office" with a name that brings its own article.
            if value.startswith("the ") and re.search(r"\b(the|a|The|A) $", text):
                value = value[4:]
            start = len(text)
            text += value
            if kind:
                # The article stays outside, as in CoNLL's and WNUT's annotation.
                spans.append((start + 4 if value[:4] in ("the ", "The ") else start, len(text), kind))
        return text, spans

    def sentence(self, rng, clauses=0.0):
        """A sentence; `clauses` is the share of those put together by ner_clauses.py."""
        pattern = clause(rng) if clauses and rng.random() < clauses else rng.choice(self.templates)
        text, spans = self.fill(pattern, rng)
        roll = rng.random()
        if self.side == "train":
            if roll < 0.04:
                text = text.lower() if len(text.lower()) == len(text) else text
            elif roll < 0.06:
                text = text.upper() if len(text.upper()) == len(text) else text
            elif roll < 0.1:
                text = text.rstrip(".")
            elif roll < 0.18:
                # Two sentences in one text.
                other, more = self.fill(rng.choice(self.templates + self.empty), rng)
                spans = spans + [(s + len(text) + 1, e + len(text) + 1, k) for s, e, k in more]
                text = f"{text} {other}"
        return text, spans

    def nothing(self, rng):
        text, spans = self.fill(rng.choice(self.empty), rng)
        return text, spans


def real_text():
    """Real sentences without names: glosses and treebank phrases in lower case, and bank customers' questions."""
    plain = [g for g in read_glosses() if g == g.lower() and 20 < len(g) < 160]
    reviews = [t for t, _ in read_sst2("train") if len(t.split()) > 5]
    known = sorted(w for pool in (lists.COMPANIES, lists.COUNTRIES, lists.CITIES, lists.STATES) for w in pool)
    named = re.compile(rf"\b(?:{'|'.join(map(re.escape, known))})\b")
    banking = [t for t in read_banking() if not named.search(t)]
    return plain, reviews, banking


def real_sample(pools, rng):
    plain, reviews, banking = pools
    roll = rng.random()
    if roll < 0.4:
        text = rng.choice(plain)
        if rng.random() < 0.6:
            text = text[0].upper() + text[1:] + "."
        return text, []
    if roll < 0.7:
        text = rng.choice(reviews)
        return (detokenise(text, rng) if rng.random() < 0.7 else text), []
    return rng.choice(banking), []


def join_words(words, tags, rng=None, names=None):
    """A WNUT sentence as text with spans; with `rng` its names may be replaced by generated ones."""
    text, spans, i = "", [], 0
    while i < len(words):
        if text and not (rng and words[i] in (".", ",", "!", "?", "'s", ":", ";", ")", "n't") and rng.random() < 0.7):
            text += " "
        kind, j = None, i + 1
        if tags[i] != "O":
            kind = tags[i][2:]
            while j < len(words) and tags[j] == f"I-{kind}":
                j += 1
        value = " ".join(words[i:j])
        if kind and names and rng.random() < 0.5:
            made = {"PER": names.person, "ORG": names.organisation, "LOC": names.place}[kind](rng)
            made = made.removeprefix("the ")
            value = made.lower() if value == value.lower() and len(made.lower()) == len(made) else made
        if kind:
            spans.append((len(text), len(text) + len(value), kind))
        text += value
        i = j
    return text, spans


def training_epoch(names, pools, wnut, rng, generated=20000, empty=2500, real=7000, copies=3, clauses=0.0):
    rows = [names.sentence(rng, clauses) for _ in range(generated)]
    rows += [names.nothing(rng) for _ in range(empty)]
    rows += [real_sample(pools, rng) for _ in range(real)]
    for copy in range(copies):
        rows += [join_words(w, t, rng if copy else None, names if copy else None) for w, t in wnut]
    return rows


def held_out_set(count=2000, seed=7):
    """Sentences of patterns and names that training never sees, a fifth of them without any entity."""
    names, rng = Names("held-out"), random.Random(seed)
    return [names.sentence(rng) if i % 5 else names.nothing(rng) for i in range(count)]
