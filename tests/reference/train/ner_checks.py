"""Everyday sentences with well-known names, written by hand; no pattern of the training data but the first."""

CHECKS = [
    ("John Doe works at Google in California.", {("John Doe", "PER"), ("Google", "ORG"), ("California", "LOC")}),
    ("Angela Merkel met Emmanuel Macron at the Élysée Palace in Paris.", {("Angela Merkel", "PER"), ("Emmanuel Macron", "PER"), ("Élysée Palace", "LOC"), ("Paris", "LOC")}),
    ("Microsoft bought GitHub for 7.5 billion dollars.", {("Microsoft", "ORG"), ("GitHub", "ORG")}),
    ("Barack Obama was the 44th president of the United States.", {("Barack Obama", "PER"), ("United States", "LOC")}),
    ("Last winter Maria Garcia moved from Madrid to Berlin and joined Siemens.", {("Maria Garcia", "PER"), ("Madrid", "LOC"), ("Berlin", "LOC"), ("Siemens", "ORG")}),
    ("The United Nations has its headquarters in New York City.", {("United Nations", "ORG"), ("New York City", "LOC")}),
    ("Sarah and her brother Tom spent two weeks in Italy.", {("Sarah", "PER"), ("Tom", "PER"), ("Italy", "LOC")}),
    ("Dr. Chen teaches physics at Stanford University.", {("Chen", "PER"), ("Stanford University", "ORG")}),
    ("Yesterday it rained, so we stayed at home and watched a film.", set()),
    ("Toyota and Honda are both based in Japan.", {("Toyota", "ORG"), ("Honda", "ORG"), ("Japan", "LOC")}),
    ("Can you book a table for four on Friday evening?", set()),
    ("The Beatles came from Liverpool.", {("Beatles", "ORG"), ("Liverpool", "LOC")}),
    ("Tim Cook became chief executive of Apple after Steve Jobs.", {("Tim Cook", "PER"), ("Apple", "ORG"), ("Steve Jobs", "PER")}),
    ("My neighbour, Mr. Johnson, sold his house in Texas.", {("Johnson", "PER"), ("Texas", "LOC")}),
    ("The new software update makes the app much faster.", set()),
    ("Amazon is opening a warehouse near Leeds, in the north of England.", {("Amazon", "ORG"), ("Leeds", "LOC"), ("England", "LOC")}),
    ("Priya Sharma flew from Mumbai to Singapore with Emirates.", {("Priya Sharma", "PER"), ("Mumbai", "LOC"), ("Singapore", "LOC"), ("Emirates", "ORG")}),
    ("She studied medicine at the University of Edinburgh in Scotland.", {("University of Edinburgh", "ORG"), ("Scotland", "LOC")}),
    ("The police found the stolen bicycle behind the old school on Monday.", set()),
    ("Elon Musk's company SpaceX launched a rocket from Florida.", {("Elon Musk", "PER"), ("SpaceX", "ORG"), ("Florida", "LOC")}),
]
