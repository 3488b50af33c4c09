"""Generated everyday opinions, so that a model trained on film reviews also reads plain sentences.

Our own words and patterns; the negated patterns carry the opposite label of their adjective.
"""

GOOD = """good great excellent wonderful fantastic amazing brilliant lovely superb delightful perfect nice positive
outstanding terrific impressive enjoyable charming fun beautiful helpful friendly reliable useful pleasant awesome
fabulous magnificent remarkable satisfying comfortable delicious clever incredible marvellous splendid fresh
elegant thoughtful funny touching fast smooth clean stunning solid""".split()
BAD = """bad terrible awful horrible boring dull poor disappointing dreadful negative useless annoying ugly stupid
mediocre unpleasant disgusting unreliable frustrating pathetic painful lousy worthless rude slow broken cheap messy
confusing ridiculous tedious nasty noisy dirty weak appalling unhelpful overpriced tasteless sad depressing miserable
bland clumsy forgettable lame pointless""".split()
THINGS = """movie film book restaurant hotel service phone product food show game album song story meal place room
laptop camera app website example concert play performance series episode trip flight experience idea plan party
dinner breakfast coffee pizza staff team lesson course teacher game software update device battery screen sound
ending plot acting script music article lecture museum beach weather apartment car bike jacket pair of shoes gift
day week morning holiday weekend result review answer presentation job work support delivery""".replace("pair of shoes ", "").split()
LOVE = ["love", "really like", "like", "enjoy", "adore", "absolutely love", "recommend", "highly recommend", "appreciate"]
LOVED = ["loved", "really liked", "liked", "enjoyed", "adored", "absolutely loved", "really enjoyed", "was impressed by",
         "was delighted with", "was very happy with", "had a lot of fun with", "was pleased with"]
HATE = ["hate", "dislike", "really hate", "despise", "can't stand", "regret buying", "regret choosing"]
HATED = ["hated", "disliked", "really hated", "despised", "was disappointed by", "was bored by", "regretted",
         "was let down by", "was very unhappy with", "was annoyed by", "wasted my money on", "wasted my time on"]
VERY = ["", "", "", "very ", "really ", "so ", "quite ", "absolutely ", "pretty ", "truly ", "extremely "]
WAS = ["is", "was", "seems", "looks", "turned out to be", "felt", "has been"]
DET = ["the", "this", "that", "my", "our", "the whole", "their"]
WHOLE_GOOD = """What a {g} {t}!|Thank you so much, I am very happy.|I am so happy today.|Best {t} ever!|One of the best {t}s I know.
Everything was {g}.|Everything went well.|It works perfectly.|It made my day.|I would buy it again.|I will definitely come back.
Well done, {g} work.|I can't wait to see it again.|I could not be happier with {d} {t}.|It couldn't be better.|Never been happier.
{D} {t} exceeded my expectations.|I can't recommend {d} {t} enough.|Nothing to complain about.|No problems at all, {g} {t}.
There is nothing I would change.|It was worth every penny.|You should try it, it is {g}.|Two thumbs up.|I smiled the whole time.
I fell in love with {d} {t}.|{D} {t} makes me happy.|Five stars.|A {v}{g} {t}.|Simply {g}.|We had a {g} time.|I had a {g} day.
I didn't expect to like it, but it was {g}.|It is better than I expected.|{D} {t} got better and better.|It never gets boring.""".replace("\n", "|").split("|")
WHOLE_BAD = """What a {b} {t}!|I am very unhappy.|I am so sad today.|Worst {t} ever!|One of the worst {t}s I know.
Everything was {b}.|Everything went wrong.|It does not work.|It doesn't work at all.|It ruined my day.|I would never buy it again.
I will never come back.|I want my money back.|It broke after two days.|Do not waste your time.|Don't buy it.|Avoid {d} {t}.
{D} {t} failed to meet my expectations.|I can't recommend {d} {t}.|I would not recommend it to anyone.|Nothing worked.
Nobody helped us.|It was a waste of money.|It was a complete waste of time.|Stay away from it.|Two thumbs down.|I fell asleep.
I almost cried, it was so {b}.|{D} {t} makes me angry.|One star.|A {v}{b} {t}.|Simply {b}.|We had a {b} time.|I had a {b} day.
I expected to like it, but it was {b}.|It is worse than I expected.|{D} {t} got worse and worse.|It could have been better.
I wanted to like {d} {t}, but I couldn't.|I did not finish it.|We left after ten minutes.|It is not worth the money.|It was not worth it.
No one liked it.|I have never been so disappointed.|There was nothing {g} about {d} {t}.|There is nothing to like about it.""".replace("\n", "|").split("|")
NOT_GOOD = """{D} {t} {w} not {v}{g}.|{D} {t} {w} not {g} at all.|I did not {l} {d} {t}.|I did not {l} {d} {t} at all.|I didn't {l} it.
I don't {l} {d} {t}.|I do not {l} it.|I don't think {d} {t} is {g}.|It isn't {g}.|{D} {t} wasn't {v}{g}.|{D} {t} is not what I would call {g}.
We didn't {l} {d} {t} at all.|Not a {g} {t}.|Not {g} at all.|It was never {g}.|She did not {l} {d} {t}.|He doesn't {l} it.|I never {e} {d} {t}.|Nobody {e} {d} {t}.""".replace("\n", "|").split("|")
NOT_BAD = """{D} {t} {w} not {b}.|{D} {t} {w} not {b} at all.|It isn't {b}.|{D} {t} wasn't {b} at all.|Not {b} at all.|I don't {h} it.
I did not {h} {d} {t}.|I don't think {d} {t} is {b}.|It was never {b}.|Not a {b} {t} at all.|Nobody {j} {d} {t}.""".replace("\n", "|").split("|")
GOOD_PATTERNS = """{D} {t} {w} {v}{g}.|{D} {t} {w} {g} and {g2}.|This is a {v}{g} {t}.|This is a {g} {t}.|It was a {g} {t}.|I {l} {d} {t}.|I {e} {d} {t}.
We {e} {d} {t} very much.|I think {d} {t} is {v}{g}.|It is {v}{g}.|{D} {t} was {g}, and the {t2} was {g2} too.|My friends {e} {d} {t}.|She {e} it.
{D} {t} is a bit {b}, but I {l} it.|{D} {t} was {b}, but the {t2} was {v}{g}, so I {e} it overall.|I {l} how {g} it is.|Such a {g} {t}.""".replace("\n", "|").split("|")
BAD_PATTERNS = """{D} {t} {w} {v}{b}.|{D} {t} {w} {b} and {b2}.|This is a {v}{b} {t}.|This is a {b} {t}.|It was a {b} {t}.|I {h} {d} {t}.|I {j} {d} {t}.
We {j} {d} {t} very much.|I think {d} {t} is {v}{b}.|It is {v}{b}.|{D} {t} was {b}, and the {t2} was {b2} too.|My friends {j} {d} {t}.|She {j} it.
{D} {t} looks {g}, but I {h} it.|{D} {t} was {g}, but the {t2} was {v}{b}, so I {j} it overall.|I {h} how {b} it is.|Such a {b} {t}.""".replace("\n", "|").split("|")
KINDS = [(GOOD_PATTERNS, 1, 4), (BAD_PATTERNS, 0, 4), (NOT_GOOD, 0, 3), (NOT_BAD, 1, 1), (WHOLE_GOOD, 1, 2), (WHOLE_BAD, 0, 2)]


def opinion(rng):
    patterns, label, _ = rng.choices(KINDS, weights=[k[2] for k in KINDS])[0]
    det = rng.choice(DET)
    text = rng.choice(patterns).format(
        g=rng.choice(GOOD), g2=rng.choice(GOOD), b=rng.choice(BAD), b2=rng.choice(BAD), t=rng.choice(THINGS),
        t2=rng.choice(THINGS), d=det, D=det.capitalize(), v=rng.choice(VERY), w=rng.choice(WAS), l=rng.choice(LOVE),
        e=rng.choice(LOVED), h=rng.choice(HATE), j=rng.choice(HATED),
    )  # fmt: skip
    roll = rng.random()
    if roll < 0.15:
        text = text.lower()
    elif roll < 0.3:
        text = text.rstrip(".")
    elif roll < 0.4 and text.endswith("."):
        text = text[:-1] + "!"
    return text, label


def opinions(count, rng):
    return [opinion(rng) for _ in range(count)]


# Never trained on; written before the first training run. What the model says of them is in its card.
CHECKS = [
    ("This is a positive example.", 1),
    ("This is a negative example.", 0),
    ("I did not like this movie at all.", 0),
    ("I really enjoyed the concert last night.", 1),
    ("The food was cold and the waiter was rude.", 0),
    ("Thank you for your help, you saved my day!", 1),
    ("My new phone stopped working after a week.", 0),
    ("The battery lasts all day and the screen is gorgeous.", 1),
    ("Not bad at all, I would watch it again.", 1),
    ("I expected more from this director.", 0),
    ("An unforgettable evening with a wonderful cast.", 1),
    ("The plot makes no sense and the jokes fall flat.", 0),
    ("We had to wait two hours and nobody apologised.", 0),
    ("She sings beautifully.", 1),
    ("It could have been worse, but not by much.", 0),
    ("What a delightful surprise!", 1),
]
