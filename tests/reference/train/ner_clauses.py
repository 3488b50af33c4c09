"""Clauses put together from subjects, verbs, objects and tails: thousands of contexts beside the written patterns.

`clause` returns a pattern as those of ner_templates.py.
"""


def split(text):
    return [phrase.strip() for phrase in text.replace("\n", "|").split("|") if phrase.strip()]


OPENERS = split("""On {DAY}, |In {MONTH}, |In {YEAR}, |Last week |Last month, |This morning |Two years ago |Then |Later, |Meanwhile, |However, |At first, |In the end |Finally, |Suddenly |Of course |Today, |Tonight |
Sadly, |Luckily, |As expected, |After the meeting, |During the war, |Before the match, |In the afternoon |In a statement, |Earlier this year, |I think |We heard that |I was told that |It seems that |Reports say that |She said |He wrote that |
They hope that |Nobody believes that |You know that |I can't believe that |Is it true that |Remember when |Sources say |The report says that |The newspaper wrote that |My mother says that |I read that |Rumour has it that """)
PERSON_VERBS = split("""visited|left for|has never seen|grew up in|was seen in|wants to move to|came back from|retired to|was buried in|got lost in|drove through|is on holiday in|lost a suitcase in|opened a bakery in|bought a house in|
spent a year in|was educated in|sent a postcard from|took pictures of|dreams of""")
PERSON_WORK = split("""resigned from|got a job at|was fired by|wrote a letter to|complained about|is an intern at|gave a talk at|has a contract with|works part-time for|invested in|was interviewed by|is a lawyer for|used to work for|
runs the sales team of|is a professor at|did a PhD at|volunteers for|represents|played for|was transferred to|has shares in|owes money to""")
PERSON_PERSON = split("""called|kissed|knows|trusts|hugged|argued with|had dinner with|is married to|went to school with|forgot to tell|introduced me to|borrowed a book from|wrote to|was beaten by|replaced|succeeded|defeated|thanked|
is the brother of|is the mother of|is taller than|waited for|danced with|is looking for|wants to marry|played chess with|apologised to|believes""")
ORG_ORG = split("""acquired|merged with|is a rival of|took over|cooperates with|was bought by|signed a contract with|competes with|sold a share to|lost against|drew with|is suing|owns half of|broke with|was praised by|borrowed money from|supplies|blamed""")
ORG_LOC = split("""is leaving|expanded to|opened a branch in|has a plant in|will invest in|does business in|stopped selling in|was fined in|is building a data centre in|is the largest employer in|sent a team to|has its main office in|was banned in|launched a service in""")
ORG_PERSON = split("""dismissed|promoted|is looking for a successor to|signed|thanked|gave an award to|named a building after|suspended|published a book by|rejected an application from|paid a bonus to|is led by|was sued by|hired""")
LOC_LOC = split("""lies north of|lies south of|is bigger than|is smaller than|borders|exports oil to|is close to|is far from|declared war on|signed a treaty with|played against|is east of|lost to|is hotter than|imports cars from|threatened|recognised""")
LOC_PLAIN = split("""is famous for its food|has many museums|was flooded|was destroyed in the war|is too expensive|voted yesterday|is full of tourists|has a new airport|celebrates its birthday|is under attack|needs rain|is cold in winter|has a long history|elected a new leader|is worth a visit|lies on the coast""")
PERSON_PLAIN = split("""is tired|smiled|has two children|can't swim|likes {LANG} music|broke an arm|was late on {DAY}|went home|speaks {LANG}|wrote a novel|is very ill|plays the piano|was elected|passed the exam|is my best friend|knows the answer|sent me a message|cooked dinner|bought a {PROD}|is a {JOB}|turned {NUM}|died on {DAY}""")
ORG_PLAIN = split("""is hiring|went bankrupt|raised prices|fired {NUM} workers|makes good phones|has {NUM} employees|paid no taxes|was hacked|published a report|refused to pay|won the cup|lost {NUM} games|launched a new {PROD}|is on strike|was founded by two students|has a new logo|denied everything|reported record sales|cut {NUM} jobs|delayed the launch""")
TAILS = split("""on {DAY}|in {YEAR}|last night|again|for the first time|with a friend|by train|because of the weather|for {NUM} days|in {MONTH}|before {OCC}|after the match|, the police said|, a spokesman said|, according to the report|to everyone's surprise|without a word|, he added|, she said|and nobody noticed|
and went home|, which was a surprise|, I think|, isn't it|for ${NUM}|next year|since {YEAR}|every summer|together with {PER9}|in {LOC9}|at {ORG9}""")
SHAPES = [("PER", PERSON_VERBS, "LOC"), ("PER", PERSON_WORK, "ORG"), ("PER", PERSON_PERSON, "PER2"), ("ORG", ORG_ORG, "ORG2"), ("ORG", ORG_LOC, "LOC"), ("ORG", ORG_PERSON, "FULL"),
          ("LOC", LOC_LOC, "LOC2"), ("LOC", LOC_PLAIN, None), ("PER", PERSON_PLAIN, None), ("ORG", ORG_PLAIN, None)]  # fmt: skip


def clause(rng):
    subject, verbs, other = rng.choice(SHAPES)
    text = f"{{{subject}}}"
    if rng.random() < 0.1:
        text += f" and {{{subject}8}}"
    text += " " + rng.choice(verbs)
    if other:
        text += f" {{{other}}}"
        if rng.random() < 0.1:
            text += f" and {{{other}7}}"
    if rng.random() < 0.4:
        tail = rng.choice(TAILS)
        text += tail if tail.startswith(",") else f" {tail}"
    if rng.random() < 0.35:
        opener = rng.choice(OPENERS)
        text = f"{opener}{'' if opener.endswith(' ') else ' '}{text}"
    return text + rng.choice(("", ".", ".", ".", ".", ".", "!", "?"))
