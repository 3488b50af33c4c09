"""The texts of the pipeline fixtures, written for this project: the inputs, and a tiny vocabulary's corpus."""

import itertools

FIRST = ["Anna", "John", "Maria", "Peter", "Zoë", "José", "Li", "Aisha", "Tom", "Ingrid", "Ravi", "Chloé"]
LAST = ["Smith", "Müller", "O'Neil", "García", "Tanaka", "Brown", "Kowalski", "Okafor", "Wang", "Larsen"]
PLACES = ["Berlin", "New York", "São Paulo", "Paris", "California", "Lagos", "Zürich", "東京", "London", "Oslo"]
FIRMS = ["Acme", "Northwind", "Globex", "Blue River Bank", "Initech", "Umbrella", "AT&T", "Hooli"]
FRAMES = [
    "{first} {last} works at {firm} in {place}.",
    "Yesterday {first} moved from {place} to the old town, and nobody knew why!",
    "\"We like {place},\" said {first} {last} of {firm}; \"it is a wonderful city.\"",
    "Did {firm} (the company) open an office in {place} in 2019?",
    "The film was slow, but the music was lovely and the ending made me cry.",
    "{first}'s brother bought 3 tickets for $45.50: not cheap - not good.",
    "It rains in {place} every winter, so {last} stays home with a good book.",
    "What a terrible, boring and badly written story about {first} & {last}...",
]


# For the tiny models: ordinary text, and what usually goes wrong.
SMALL = [
    "John Smith works at Acme in California.",
    "Maria García and José O'Neil moved to São Paulo.",
    "It was slow, but the ending was lovely!",
    "What a terrible film...",
    "Anna",
    "a",
    "",
    "   ",
    "?!",
    "Blue River Bank opened an office in New York, London, Paris and Berlin in 2019.",
    "  leading and trailing spaces  ",
    "two  spaces   three\tand a tab",
    "one line\nand another\r\nand a third",
    "Zu\u0308rich and Zürich are the same town",
    "I ❤️ 東京 and 日本語 too 😀👍🏽",
    "AT&T's (old) brother-in-law: \"Tom\", said Ingrid; not cheap - not good",
    "e-mail ravi.tanaka@example.org, see https://example.org/a?b=1",
    "Chloé Larsen Chloé Larsen Chloé Larsen",
    "ALL CAPITALS IN LONDON",
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "no-break\u00a0space, ideographic\u3000space, zero\u200bwidth",
    "[SEP] in the text and [MASK] too",
    "ﬁnal Ａｃｍｅ ① ½",
    "Привет, Zoë! مرحبا",
    "Wang, Okafor, Brown & Kowalski met Tom from Initech at Hooli in Oslo. Did Umbrella know? Nobody from Globex said so, "
    "and Peter Müller of Northwind stays in Lagos every winter with Aisha, Li and Ravi.",
]
PAIRS = [
    ("Anna works in Oslo.", "Does Anna work in Norway?"),
    ("The film was slow.", "The film was not fast."),
    ("", "only the second"),
    ("only the first", ""),
    ("two  spaces", "  and\nmore "),
    ("東京", "It rains in 東京 every winter."),
]

SENTIMENT = [
    "This is a positive example.",
    "This is a negative example.",
    "I loved every minute of it.",
    "I want those two hours of my life back.",
    "A warm, funny and quietly moving story about growing old.",
    "The plot makes no sense and the acting is wooden.",
    "Not bad at all.",
    "Not good at all.",
    "It is neither as clever nor as charming as it believes.",
    "What a delightful surprise!",
    "Dull, loud and far too long.",
    "The best thing I can say is that it ends.",
    "An instant classic.",
    "The director has no idea what to do with a wonderful cast.",
    "A wonderful cast makes up for a thin script.",
    "I laughed, I cried, I called my mother.",
    "I fell asleep twice.",
    "Beautifully shot, badly written.",
    "Badly shot, beautifully written.",
    "It's okay, I guess.",
    "Five stars.",
    "Zero stars.",
    "Great food, friendly staff, and we will come back!",
    "The soup was cold and the waiter was rude.",
    "My parcel arrived broken and nobody answers the phone.",
    "Works exactly as described; fast delivery.",
    "Don't waste your money.",
    "You won't regret watching this.",
    "hilarious",
    "awful",
    "ok",
    "?",
    "",
    "The film runs for two hours and was shot in Norway.",
    "He never fails to move an audience.",
    "She fails to move anyone.",
    "A feast for the eyes, a famine for the mind.",
    "THE WORST MOVIE EVER MADE!!!",
    "the most touching performance of the year , bar none .",
    "too slow for a thriller , too silly for a drama .",
    "Un film magnifique, drôle et touchant.",
    "Ein langweiliger, überflüssiger Film.",
    "Loved it 😍😍😍",
    "Hated it 😡",
    "とても良い映画でした。",
    "So   many    spaces  and it is still   lovely",
    "First line is bad.\nSecond line is good.\nThird line is great.",
    "The café’s “special” was – to be fair – rather good…",
    "10/10 would watch again",
    "2/10, the sequel nobody asked for",
    "If you liked the book, skip the film; if you hated the book, skip both.",
    "It has its moments, most of them in the trailer.",
    "A smart thriller that trusts its audience and rewards patience.",
    "The jokes land with a thud, one after another, for ninety endless minutes.",
    "Rarely has so much money bought so little fun.",
    "There is real joy in every frame, and the last scene is a small miracle that I have not been able to forget since.",
    "The first half is a mess of half-finished ideas, and yet, somewhere past the middle, the film finds its feet, its "
    "heart and its voice, and it ends as one of the loveliest things I have seen all year.",
    "For a while it promises something new, but soon every promise is broken, every character forgotten, and what is "
    "left is a noisy, joyless heap of effects that goes on and on without any reason to care.",
]

NAMES = [
    "John Doe works at Google in California.",
    "Angela Merkel was born in Hamburg.",
    "My name is Sarah and I live in London.",
    "Microsoft bought GitHub in 2018.",
    "The meeting is at noon.",
    "I like tea.",
    "Maria Silva moved from Lisbon to New York last spring.",
    "Dr. Peter O'Neil of Stanford University will speak in Tokyo.",
    "Did you see Emma at the station?",
    "Apple opened a store in Berlin, and Tim Cook came.",
    "She sells apples in a shop by the sea.",
    "Barack Obama visited France, Germany and Japan.",
    "IBM, Intel and AMD make chips.",
    "Write to Jean-Pierre Dupont, 12 Rue de Rivoli, Paris.",
    "the weather in chicago is cold today",
    "MICHAEL JACKSON WAS BORN IN GARY, INDIANA.",
    "@anna are you coming to Boston with Mike?",
    "Toyota Motor Corporation has its head office in Toyota City.",
    "Mrs. Johnson-Smith met Mr. Lee at Goldman Sachs.",
    "Nothing ever happens here.",
    "Please call me tomorrow after lunch.",
    "Amazon delivers to Brazil; the Amazon flows through Brazil.",
    "Washington crossed the Delaware; Washington is a city.",
    "Elon Musk runs Tesla and SpaceX from Texas.",
    "The United Nations met in Geneva on Monday.",
    "José García y Ana López viven en São Paulo.",
    "Zoë Müller arbeitet bei Siemens in München.",
    "李明在北京工作。",
    "Ivan Petrov lives in Москва.",
    "I ❤️ New York 😀",
    "",
    "?",
    "a",
    "Paris",
    "Paris Hilton stayed at the Hilton in Paris.",
    "Jordan flew to Jordan with Jordan Airlines.",
    "Brown, Davis & Partners LLC hired Laura Brown.",
    "From: Kate Winslow <kate@example.org>\nTo: Bob\nSubject: lunch in Oxford",
    "Two  spaces  between  John  Smith  and  Acme  Inc.",
    "  David lives in Cairo  ",
    "He said: \"Ask Julia Roberts.\"",
    "(Nokia), [Helsinki], {Linus Torvalds}",
    "Samuel L. Jackson, J. R. R. Tolkien and George W. Bush",
    "St. Louis and St. Petersburg are far apart.",
    "The Bank of England raised rates, said Andrew Bailey.",
    "Ford drove a Ford to Ford's house.",
    "Thomas works for Johnson Group in Lake Michael, South Africa.",
    "Why did the chicken cross the road?",
    "I would love to visit the museum with my brother and his wife.",
    "Christopher Nguyen joined Walker, Price and Sons in Port Jennifer.",
    "Lisa's brother's dog is called Max.",
    "Ahmed, Fatima, Omar and Layla went to Dubai.",
    "NASA and ESA sent it to Mars from Florida.",
    "new phone from samsung is great lol",
    "Mary had a little lamb.",
    "Manchester United beat Real Madrid in Manchester.",
    "On Friday, Robert Williams, who has led Hernandez Ltd in East Amanda since 2003, told reporters in Toronto that he "
    "would step down and that Jennifer Clark of Clark-Evans would take over.",
    "The train from Vienna to Budapest leaves at nine, stops once, and arrives before noon; my aunt Clara takes it every "
    "week to see her old friend Ilona, who worked at Deutsche Bank.",
]


def corpus():
    """The generated lines, and the ordinary sentences of this file for their words."""
    names = itertools.cycle(itertools.product(FIRST, LAST))
    places, firms = itertools.cycle(PLACES), itertools.cycle(FIRMS)
    lines = []
    for i in range(240):
        first, last = next(names)
        frame = FRAMES[i % len(FRAMES)]
        lines.append(frame.format(first=first, last=last, place=next(places), firm=next(firms)))
    for text in SENTIMENT + NAMES:
        lines += [text.replace("\n", " "), text.lower().replace("\n", " ")]
    return lines
