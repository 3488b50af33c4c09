"""Sentence patterns of the generated NER data: one a line, slots in braces.

Entity slots: PER (a person in any form), FULL (first and last name), LAST, ORG, LOC, CITY, COUNTRY, STATE.
Other slots hold words that are no entity: JOB, DAY, MONTH, YEAR, NUM, NAT, LANG, OCC, PROD, ROLE, TITLE.
A number after a slot's name only tells two of its kind apart.
"""

MIXED = """
{PER} works at {ORG} in {LOC}.
{PER} works for {ORG}.
{PER} lives in {LOC}.
{FULL} is the CEO of {ORG}.
{FULL}, {JOB} at {ORG}, moved to {CITY} in {YEAR}.
{FULL} was born in {CITY}, {COUNTRY}.
{FULL} was born in {CITY}, {STATE}, on {MONTH} {NUM}, {YEAR}.
{FULL} ({NUM}) of {CITY} was arrested on {DAY}.
My name is {FULL} and I live in {LOC}.
My name is {PER} and I work at {ORG}.
I am {FULL} from {ORG}.
Hi, this is {PER} from {ORG} in {CITY}.
{ORG} is based in {CITY}.
{ORG} is headquartered in {CITY}, {STATE}.
{ORG} opened a new office in {LOC}.
{ORG} will close its factory in {LOC} by the end of {YEAR}.
{ORG} hired {FULL} as {JOB}.
{ORG} appointed {FULL} as its new chief executive.
{ORG} announced on {DAY} that it will buy {ORG2} for ${NUM} million.
{ORG} and {ORG2} signed an agreement in {CITY}.
Shares of {ORG} fell {NUM} percent after {PER} resigned.
{FULL} joined {ORG} in {YEAR} after ten years at {ORG2}.
{FULL} and {FULL2} founded {ORG} in {CITY}.
{FULL} met {FULL2} in {LOC} last {DAY}.
{PER} and {PER2} went to {LOC} for {OCC}.
{PER}, {PER2} and {PER3} are coming to the party.
{PER} flew from {CITY} to {CITY2} on {DAY}.
The flight from {CITY} to {CITY2} was cancelled.
We drove from {CITY} to {CITY2} through {STATE}.
{PER} studied {LANG} at {ORG}.
{PER} graduated from {ORG} in {YEAR} and moved to {LOC}.
{TITLE} {LAST} teaches at {ORG}.
{TITLE} {LAST} of {ORG} said the results were surprising.
{TITLE} {FULL} visited {COUNTRY} in {MONTH}.
President {LAST} arrived in {CITY} on {DAY}.
Prime Minister {FULL} will travel to {COUNTRY} next week.
Senator {LAST} of {STATE} voted against the bill.
{FULL} won the election in {LOC}.
{FULL} scored twice as {ORG} beat {ORG2} in {CITY}.
{ORG} beat {ORG2} {NUM}-{NUM2} on {DAY}.
{ORG} lost to {ORG2} in the final.
The coach of {ORG}, {FULL}, was not happy.
{FULL} plays for {ORG}.
{FULL} wrote a book about {LOC}.
{FULL} was a {NAT} writer who lived in {CITY}.
{FULL} is a {NAT} {JOB}.
The {NAT} {JOB} {FULL} died in {CITY} in {YEAR}.
The {NAT} company {ORG} makes cars.
{PER} bought a {PROD} from {ORG}.
{PER} uses {PROD} at work.
{ORG} released a new {PROD} in {MONTH}.
{ORG} sued {ORG2} over patents.
{ORG} is hiring engineers in {LOC}.
Does {PER} still work at {ORG}?
Where does {PER} live now?
Have you ever been to {LOC}?
Have you heard from {PER}?
Who is {FULL}?
What is the capital of {COUNTRY}?
{CITY} is the capital of {COUNTRY}.
{CITY} is a city in {COUNTRY}.
{CITY} is one of the largest cities in {LOC}.
{CITY} lies on a river in {COUNTRY}.
Is {CITY} in {STATE} or in {STATE2}?
{COUNTRY} and {COUNTRY2} share a border.
{COUNTRY} won {NUM} medals, ahead of {COUNTRY2} and {COUNTRY3}.
{COUNTRY} beat {COUNTRY2} in the semi-final.
The president of {COUNTRY} met the king of {COUNTRY2}.
The ambassador of {COUNTRY} in {CITY} declined to comment.
The embassy in {CITY} is closed on {DAY}.
The weather in {LOC} is lovely in {MONTH}.
It rained in {CITY} all {DAY}.
I love {CITY}!
I miss {PER} so much.
I went to {LOC} with {PER} last summer.
I have an interview at {ORG} on {DAY}.
I ordered it from {ORG} and it never arrived.
I read about it in a report by {ORG}.
I saw {FULL} on TV last night.
I will call {PER} on {DAY}.
I met {PER} at {ORG}.
Please contact {FULL} at {ORG}.
Please send the parcel to {FULL}, {NUM} Main Street, {CITY}.
Please ask {PER} about the meeting with {ORG}.
Dear {TITLE} {LAST}, thank you for your letter.
Dear {PER}, I hope you are well.
Dear {PER}, thank you for your order.
Best regards, {FULL}
Thanks, {PER}!
Happy birthday, {PER}!
Hello {PER}, how are you?
{PER}'s car broke down in {LOC}.
{PER}'s sister works for {ORG}.
{ORG}'s profits rose in {YEAR}.
{COUNTRY}'s economy grew by {NUM} percent.
{CITY}'s mayor, {FULL}, opened the bridge.
{LOC}'s beaches are beautiful.
According to {FULL}, the project will start in {MONTH}.
According to {ORG}, {NUM} people lost their jobs.
"We are delighted", said {FULL}, {JOB} at {ORG}.
"It was a mistake," {PER} told {ORG}.
{LAST} said that the talks in {CITY} had failed.
{LAST} told reporters in {CITY} that he would not resign.
{LAST} and {LAST2} will meet again on {DAY}.
A spokesman for {ORG} confirmed the news.
A spokeswoman for {ORG} in {CITY} refused to comment.
Researchers at {ORG} found a new treatment.
Scientists from {ORG} and {ORG2} published the study in {MONTH}.
Police in {CITY} are looking for {FULL}.
Police arrested {FULL} near {LOC}.
The police in {LOC} found the car.
Thousands of people protested in {CITY} on {DAY}.
A fire destroyed a warehouse in {CITY}, {STATE}.
An earthquake hit {LOC} early on {DAY}.
Troops from {COUNTRY} entered {COUNTRY2} in {YEAR}.
The war in {COUNTRY} ended in {YEAR}.
The {NAT} embassy in {COUNTRY} was closed.
{ORG} sent doctors to {COUNTRY}.
{ORG} warned that {COUNTRY} could run out of water.
{ORG} accused {COUNTRY} of breaking the treaty.
A new museum will open in {CITY} in {YEAR}.
The exhibition of {FULL} moves to {CITY} in {MONTH}.
The film was shot in {LOC} and stars {FULL} and {FULL2}.
The film, directed by {FULL}, opens on {DAY}.
{FULL} stars as a {JOB} who falls in love in {CITY}.
The song was written by {FULL}.
The novel by {FULL} is set in {LOC}.
The band will play in {CITY} and {CITY2} in {MONTH}.
The concert in {CITY} was amazing.
We stayed at a small hotel in {LOC}.
We spent our honeymoon in {LOC}.
We moved from {LOC} to {LOC2} when I was {NUM}.
We flew to {CITY} with {ORG}.
My brother {PER} lives in {LOC} and works for {ORG}.
My friend {PER} speaks {LANG} and {LANG2}.
My boss, {FULL}, is from {LOC}.
My parents live in {CITY}.
Our teacher, {TITLE} {LAST}, comes from {COUNTRY}.
His wife {PER} grew up in {LOC}.
Her uncle {FULL} lives near {LOC}.
She moved to {LOC} to work for {ORG}.
He left {ORG} in {YEAR} and founded {ORG2}.
They met in {CITY} while working at {ORG}.
You can find {ORG} on the corner, next to {ORG2}.
Both {PER} and {PER2} have applied for a job at {ORG}.
Neither {PER} nor {PER2} was at home.
Only {PER} knew the way to {LOC}.
Yesterday {PER} told me that {ORG} had called.
Yesterday {ORG} fired {NUM} people in {LOC}.
Today {PER} starts her new job at {ORG}.
Last week {FULL} became {JOB} at {ORG}.
Last year {ORG} sold its offices in {LOC}.
In {YEAR}, {FULL} left {LOC} for good.
In {YEAR}, {ORG} moved to {CITY}.
In {CITY}, {PER} met {PER2}.
In {MONTH} {YEAR} {FULL} became chairman of {ORG}.
On {DAY}, {FULL} will speak at {ORG}.
At {ORG}, {FULL} led a team of {NUM} people.
From {CITY} we took a train to {CITY2}.
After leaving {ORG}, {FULL} returned to {COUNTRY}.
When {PER} arrived in {LOC}, {PER2} was already there.
Although {PER} lives in {LOC}, she works in {LOC2}.
If {PER} comes to {CITY}, we will visit {LOC}.
While {ORG} is growing, {ORG2} is losing money.
Because of the storm, {ORG} cancelled all flights to {LOC}.
Customers of {ORG} complained about delays.
Investors such as {ORG} and {FULL} put ${NUM} million into {ORG2}.
Companies like {ORG}, {ORG2} and {ORG3} employ thousands of people in {LOC}.
Cities such as {CITY}, {CITY2} and {CITY3} are expensive.
Countries including {COUNTRY}, {COUNTRY2} and {COUNTRY3} signed the treaty.
{ORG}, {ORG2} and {ORG3} are the biggest employers in {LOC}.
{CITY}, {COUNTRY}
{CITY} ({COUNTRY})
{FULL}, {ORG}
{FULL} - {JOB}, {ORG}, {CITY}
{CITY}, {MONTH} {NUM} - {ORG} said on {DAY} it had hired {FULL}.
From: {FULL} To: {FULL2} Subject: meeting in {CITY}
RT @{HANDLE}: {PER} is in {CITY} tonight!
@{HANDLE} I saw {PER} at {LOC} yesterday lol
just landed in {LOC} with {PER} :)
omg {PER} is so funny
can't believe {ORG} did this to {PER}
so excited for {CITY} next week!!
watching {ORG} vs {ORG2} tonight
anyone here from {LOC}?
going to {LOC} tomorrow with {PER} and {PER2}
#{HANDLE} {PER} just announced a show in {CITY}
{ORG} customer service is the worst
{ORG} is trending again
Good morning {LOC}!
Goodbye {CITY}, hello {CITY2}!
Welcome to {LOC}!
{PER} for president
The founder of {ORG} is {FULL}.
The headquarters of {ORG} are in {LOC}.
The {ORG} office in {CITY} is closed.
The {CITY} office of {ORG} will move.
The {ORG} team flew to {LOC}.
The {LOC} branch is run by {FULL}.
The train to {CITY} leaves at {NUM}.
The road between {CITY} and {CITY2} is closed.
The population of {COUNTRY} is about {NUM} million.
The mayor of {CITY} invited {FULL}.
The governor of {STATE}, {FULL}, signed the law.
The governor of {STATE} visited {CITY}.
The winner is {FULL} from {LOC}.
The meeting with {ORG} is on {DAY} at {NUM}.
The lawyer for {ORG}, {FULL}, said nothing.
The letter from {PER} came from {LOC}.
The book that {PER} gave me is about {LOC}.
There is a {ORG} store in {LOC}.
There are many {NAT} restaurants in {CITY}.
This photo of {PER} was taken in {LOC}.
This is {FULL}, our new {JOB}.
This is {PER}, she works for {ORG}.
That was {PER} on the phone.
It is the first visit of {FULL} to {LOC}.
Is {PER} at home?
Is {ORG} open on {DAY}?
Did {PER} go to {LOC} with {PER2}?
Can you tell {PER} that {PER2} called?
Could {ORG} deliver to {LOC}?
Why did {ORG} leave {LOC}?
When did {PER} leave {ORG}?
How far is {CITY} from {CITY2}?
Which {NAT} {JOB} lived in {CITY}?
{PER} asked {PER2} to come to {LOC}.
{PER} gave {PER2} a {PROD} for {OCC}.
{PER} said {PER2} would leave {ORG}.
{PER} thinks that {ORG} is a good employer.
{PER} loves {LOC}.
{PER} hates flying with {ORG}.
{PER} married {PER2} in {CITY}.
{PER} is a {JOB} in {CITY}.
{PER} is in {LOC} until {DAY}.
{PER} is {NUM} years old and comes from {LOC}.
{PER} is the daughter of {FULL}.
{PER} has worked as a {JOB} for {ORG} since {YEAR}.
{PER} wants to study at {ORG}.
{PER} never went back to {LOC}.
{PER} died in {YEAR}.
{PER} called.
{PER} is late again.
{PER} laughed.
{PER} won!
{LOC} is beautiful.
{LOC} is far away.
{ORG} did not answer.
{ORG} makes good products.
{ORG} reported a loss of ${NUM} million.
{ORG} said it would appeal.
{ORG} has offices in {CITY}, {CITY2} and {CITY3}.
{ORG} moved its headquarters from {LOC} to {LOC2}.
{ORG} was founded by {FULL} in {YEAR}.
{ORG} was founded in {CITY} in {YEAR} by {FULL} and {FULL2}.
{ORG} sells {PROD}s in {COUNTRY}.
{ORG} built a factory near {CITY}.
{ORG} offered {PER} a job in {LOC}.
{ORG} paid {FULL} ${NUM}.
{ORG} welcomes {FULL} as {JOB}.
"""

# Capitalised words, names of days, roles, products and the like, and no entity at all.
EMPTY = """
{ROLE} said nothing on {DAY}.
{ROLE} will meet {ROLE2} in {MONTH}.
The meeting is on {DAY}, {MONTH} {NUM}.
I speak {LANG} and a little {LANG2}.
I like {NAT} food.
My {PROD} is broken.
The {PROD} runs on {PROD2}.
We met on {DAY} in the park.
Thank you very much for your help.
He works as a {JOB}.
She works as a {JOB} in a small town.
She is a {JOB} and he is a {JOB2}.
I work at a bank in the city.
He lives in a small village near the sea.
They moved to another country in {YEAR}.
The company opened a new office in the capital.
The company was founded in {YEAR}.
The {NAT} government rejected the plan.
The {NAT} team won the match.
A {NAT} tourist was hurt on {DAY}.
Happy {OCC}!
What are you doing for {OCC}?
We always meet at {OCC}.
School starts in {MONTH}.
In {YEAR}, everything changed.
On {DAY} morning the shop is closed.
Please call me back before {DAY}.
Our {JOB} is on holiday until {MONTH}.
The new {JOB} starts on {DAY}.
Who is the {JOB} here?
Can you help me with my {PROD}?
I bought a new {PROD} last {DAY}.
How do I install {PROD} on {PROD2}?
This is a positive example.
This is only a test.
Nobody works here.
Nobody was in the room.
Everyone at work likes {LANG} classes.
It cost ${NUM} in {YEAR}.
The price rose by {NUM} percent in {MONTH}.
Dear Sir or Madam, I write about the job.
Dear customer, your order will arrive on {DAY}.
Dear all, the meeting is cancelled.
Best regards
Kind regards, your team
Good morning everyone!
My mother lives with my sister.
The old man looked at the sea.
Yesterday it rained all day.
When the train arrived, {ROLE} was already there.
Why is the sky blue?
Where is the nearest station?
Is the museum open on {DAY}?
Turn left at the traffic lights.
Add two eggs and a cup of milk.
The Chief Executive Officer resigned on {DAY}.
The Senior {JOB} spoke first.
Chapter {NUM}: How It All Began
Terms and Conditions
Frequently Asked Questions
PLEASE READ THIS FIRST
OMG this is so funny
I LOVE this song
lol that was great
RT @{HANDLE}: so tired today
@{HANDLE} thanks for the follow!
#{HANDLE} good night everyone
I can't wait for {OCC}!
Students of {LANG} meet every {DAY}.
{LANG} is hard to learn.
{NAT} wine is better than {NAT2} wine.
{MONTH} was cold and wet.
{DAY} is my favourite day.
{OCC} is over.
{PROD} is easy to use.
{PROD} and {PROD2} are not the same.
"""


def lines(text):
    return [line for line in text.strip().split("\n") if line]
