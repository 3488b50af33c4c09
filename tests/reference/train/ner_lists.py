"""Well-known names, all public facts, from which sentences are generated beside Faker's invented ones."""


def split(text):
    return [name.strip() for name in text.replace("\n", ",").split(",") if name.strip()]


COMPANIES = split("""Google, Microsoft, Apple, Amazon, Facebook, Meta, Netflix, Tesla, IBM, Intel, AMD, Nvidia, Oracle, Cisco, Adobe, Salesforce, SAP,
Siemens, Samsung, Sony, Nintendo, Panasonic, Toshiba, Hitachi, Toyota, Honda, Nissan, Mazda, Subaru, Suzuki, Hyundai, Kia, Ford, General Motors, Chrysler,
Volkswagen, BMW, Mercedes-Benz, Daimler, Audi, Porsche, Ferrari, Fiat, Renault, Peugeot, Volvo, Airbus, Boeing, Lockheed Martin, Northrop Grumman, Raytheon,
Rolls-Royce, General Electric, Philips, Nokia, Ericsson, Huawei, Xiaomi, Lenovo, Dell, Hewlett-Packard, HP, Twitter, LinkedIn, YouTube, Instagram, WhatsApp,
Uber, Lyft, Airbnb, Spotify, PayPal, Stripe, Visa, Mastercard, American Express, JPMorgan, JPMorgan Chase, Goldman Sachs, Morgan Stanley, Citigroup, Bank of America, Wells Fargo, HSBC,
Barclays, Lloyds, Deutsche Bank, Credit Suisse, UBS, Santander, BNP Paribas, Walmart, Target, Costco, Tesco, Sainsbury's, Carrefour, Aldi, Lidl, IKEA, H&M,
Zara, Nike, Adidas, Puma, Reebok, Gucci, Prada, Chanel, Louis Vuitton, Coca-Cola, Pepsi, PepsiCo, Nestlé, Unilever, Procter & Gamble, Johnson & Johnson, Pfizer,
Moderna, Novartis, Roche, Bayer, Merck, AstraZeneca, GlaxoSmithKline, Shell, BP, ExxonMobil, Chevron, Total, Gazprom, Saudi Aramco, McDonald's, Burger King,
Starbucks, Subway, KFC, Pizza Hut, Domino's, Disney, Warner Bros, Universal, Paramount, Pixar, DreamWorks, Lufthansa, Ryanair, EasyJet, British Airways,
Delta Air Lines, United Airlines, Emirates, Qantas, FedEx, UPS, DHL, Deloitte, KPMG, Accenture, McKinsey, Ernst & Young, PricewaterhouseCoopers, Vodafone, Verizon, AT&T, T-Mobile,
Orange, Telefonica, Comcast, Alibaba, Tencent, Baidu, ByteDance, TikTok, Foxconn, Infosys, Wipro, Tata Motors, Reliance Industries, Reddit, Pinterest, Dropbox,
Slack, Zoom, GitHub, GitLab, Mozilla, Red Hat, Canonical, Docker, OpenAI, DeepMind, Anthropic, Hugging Face, SpaceX, Blue Origin, Qualcomm, Broadcom, Texas Instruments, Micron,
Hilton, Marriott, Heineken, Carlsberg, Danone, Kellogg's, Kraft, Mars, Cadbury, Lego, Mattel, Hasbro, Electronic Arts, Ubisoft, Activision, Rockstar Games, Valve, Bosch, Michelin, Goodyear, Caterpillar, John Deere,
BlackRock, Fidelity, Vanguard, Berkshire Hathaway, Lehman Brothers, Enron, eBay, Yahoo, AOL, Kodak, Xerox, Motorola, Blackberry, Shopify, Atlassian, Booking.com, Expedia""")

ORGANISATIONS = split("""the United Nations, UNESCO, UNICEF, NATO, the World Health Organization, WHO, the European Union, the European Commission, the European Parliament,
the European Central Bank, the World Bank, the International Monetary Fund, the World Trade Organization, Interpol, the Red Cross, Amnesty International, Greenpeace, Oxfam,
Doctors Without Borders, Save the Children, the FBI, the CIA, NASA, the Pentagon, the State Department, the Supreme Court, the Senate, Congress, the House of Commons, Parliament,
the White House, the Federal Reserve, the Bank of England, the BBC, CNN, Fox News, NBC, CBS, ABC News, Sky News, Al Jazeera, Reuters, the Associated Press, Bloomberg, the New York Times,
the Washington Post, the Wall Street Journal, the Guardian, the Financial Times, Le Monde, Der Spiegel, Time magazine, National Geographic, FIFA, UEFA, the NBA, the NFL, the NHL,
the International Olympic Committee, Manchester United, Manchester City, Liverpool FC, Arsenal, Chelsea, Tottenham, Real Madrid, FC Barcelona, Bayern Munich, Juventus, AC Milan, Inter Milan, Ajax,
the Chicago Bulls, the Los Angeles Lakers, the Boston Celtics, the New York Yankees, the Red Sox, the Dallas Cowboys, the Green Bay Packers, the Golden State Warriors, the Miami Heat,
the Republican Party, the Democratic Party, the Labour Party, the Conservative Party, the Green Party, Scotland Yard, the Royal Navy, the Royal Society, the Beatles, the Rolling Stones,
Coldplay, Radiohead, Metallica, Nirvana, Pink Floyd, Queen, U2, the Mayo Clinic, the Smithsonian Institution, the British Museum, the Metropolitan Museum of Art, the Wikimedia Foundation, Wikipedia, the Gates Foundation,
the Linux Foundation, the Apache Software Foundation, the Max Planck Society, CERN, the European Space Agency, OPEC, ASEAN, the African Union, the Arab League""")

UNIVERSITIES = split("""Harvard University, Harvard, Stanford University, Stanford, Yale University, Yale, Princeton University, Princeton, Columbia University, Cornell University, MIT,
the Massachusetts Institute of Technology, Caltech, the University of California, UCLA, the University of Chicago, Duke University, Brown University, Northwestern University, Johns Hopkins University,
Carnegie Mellon University, New York University, Boston University, Oxford University, the University of Oxford, Cambridge University, the University of Cambridge, Imperial College London,
University College London, the London School of Economics, the University of Edinburgh, King's College London, the University of Manchester, ETH Zurich, the Sorbonne, the University of Tokyo, Kyoto University,
Peking University, Tsinghua University, the National University of Singapore, the University of Toronto, McGill University, the University of Melbourne, the University of Sydney, Trinity College Dublin,
the Technical University of Munich, Heidelberg University, the University of Amsterdam, Georgia Tech, Purdue University, Penn State, Texas A&M University, Rice University""")

COUNTRIES = split("""Afghanistan, Albania, Algeria, Andorra, Angola, Argentina, Armenia, Australia, Austria, Azerbaijan, Bahrain, Bangladesh, Barbados, Belarus, Belgium, Belize, Benin, Bhutan, Bolivia, Bosnia,
Botswana, Brazil, Brunei, Bulgaria, Burkina Faso, Burundi, Cambodia, Cameroon, Canada, Cape Verde, Chad, Chile, China, Colombia, Congo, Costa Rica, Croatia, Cuba, Cyprus, the Czech Republic, Denmark, Djibouti,
Dominica, Ecuador, Egypt, El Salvador, England, Eritrea, Estonia, Ethiopia, Fiji, Finland, France, Gabon, Gambia, Georgia, Germany, Ghana, Great Britain, Greece, Grenada, Guatemala, Guinea, Guyana, Haiti, Honduras, Hungary,
Iceland, India, Indonesia, Iran, Iraq, Ireland, Israel, Italy, Ivory Coast, Jamaica, Japan, Jordan, Kazakhstan, Kenya, Kosovo, Kuwait, Kyrgyzstan, Laos, Latvia, Lebanon, Lesotho, Liberia, Libya, Liechtenstein,
Lithuania, Luxembourg, Madagascar, Malawi, Malaysia, Mali, Malta, Mauritius, Mexico, Moldova, Monaco, Mongolia, Montenegro, Morocco, Mozambique, Myanmar, Namibia, Nepal, the Netherlands, New Zealand, Nicaragua, Niger,
Nigeria, North Korea, Northern Ireland, Norway, Oman, Pakistan, Palestine, Panama, Paraguay, Peru, the Philippines, Poland, Portugal, Qatar, Romania, Russia, Rwanda, Samoa, Saudi Arabia, Scotland, Senegal, Serbia, Sierra Leone,
Singapore, Slovakia, Slovenia, Somalia, South Africa, South Korea, South Sudan, Spain, Sri Lanka, Sudan, Suriname, Sweden, Switzerland, Syria, Taiwan, Tajikistan, Tanzania, Thailand, Togo, Tonga, Trinidad and Tobago, Tunisia,
Turkey, Turkmenistan, Uganda, Ukraine, the United Arab Emirates, the United Kingdom, the United States, the UK, the US, the USA, UK, USA, Uruguay, Uzbekistan, Venezuela, Vietnam, Wales, Yemen, Zambia, Zimbabwe""")

STATES = split("""Alabama, Alaska, Arizona, Arkansas, California, Colorado, Connecticut, Delaware, Florida, Georgia, Hawaii, Idaho, Illinois, Indiana, Iowa, Kansas, Kentucky, Louisiana, Maine, Maryland, Massachusetts,
Michigan, Minnesota, Mississippi, Missouri, Montana, Nebraska, Nevada, New Hampshire, New Jersey, New Mexico, New York, North Carolina, North Dakota, Ohio, Oklahoma, Oregon, Pennsylvania, Rhode Island, South Carolina,
South Dakota, Tennessee, Texas, Utah, Vermont, Virginia, Washington, West Virginia, Wisconsin, Wyoming, Ontario, Quebec, British Columbia, Alberta, Bavaria, Saxony, Tuscany, Sicily, Catalonia, Andalusia, Normandy, Brittany,
Provence, Cornwall, Yorkshire, Kent, Queensland, New South Wales, Victoria, Tasmania, Punjab, Kerala, Gujarat""")

CITIES = split("""London, Paris, Berlin, Madrid, Rome, Vienna, Brussels, Amsterdam, Lisbon, Dublin, Athens, Warsaw, Prague, Budapest, Bucharest, Sofia, Stockholm, Oslo, Copenhagen, Helsinki, Reykjavik, Moscow, Kyiv, Kiev, Minsk,
Riga, Vilnius, Tallinn, Belgrade, Zagreb, Sarajevo, Ljubljana, Bratislava, Bern, Zurich, Geneva, Basel, Munich, Hamburg, Frankfurt, Cologne, Stuttgart, Dresden, Leipzig, Milan, Turin, Naples, Florence, Venice, Bologna, Genoa, Palermo,
Barcelona, Valencia, Seville, Bilbao, Porto, Lyon, Marseille, Toulouse, Bordeaux, Nice, Lille, Strasbourg, Manchester, Liverpool, Birmingham, Leeds, Sheffield, Bristol, Edinburgh, Glasgow, Cardiff, Belfast, Oxford, Cambridge,
Brighton, York, Bath, Cork, Galway, Rotterdam, The Hague, Antwerp, Ghent, Bruges, Krakow, Gdansk, Istanbul, Ankara, Izmir, Jerusalem, Tel Aviv, Beirut, Damascus, Baghdad, Tehran, Kabul, Riyadh, Dubai, Abu Dhabi, Doha, Cairo,
Alexandria, Tunis, Algiers, Casablanca, Rabat, Lagos, Abuja, Accra, Nairobi, Kampala, Kigali, Addis Ababa, Johannesburg, Cape Town, Durban, Pretoria, Harare, Lusaka, Dakar, Mumbai, Delhi, New Delhi, Bangalore, Chennai, Kolkata,
Hyderabad, Pune, Karachi, Lahore, Islamabad, Dhaka, Kathmandu, Colombo, Bangkok, Hanoi, Ho Chi Minh City, Phnom Penh, Kuala Lumpur, Jakarta, Manila, Beijing, Shanghai, Shenzhen, Guangzhou, Hong Kong, Taipei, Tokyo,
Osaka, Kyoto, Yokohama, Nagoya, Hiroshima, Sapporo, Seoul, Busan, Pyongyang, Sydney, Melbourne, Brisbane, Perth, Adelaide, Canberra, Auckland, Wellington, Toronto, Montreal, Vancouver, Ottawa, Calgary, Edmonton,
New York, New York City, Los Angeles, Chicago, Houston, Phoenix, Philadelphia, San Antonio, San Diego, Dallas, San Jose, Austin, Jacksonville, San Francisco, Columbus, Indianapolis, Seattle, Denver, Washington, Washington D.C., Boston,
Nashville, El Paso, Detroit, Portland, Las Vegas, Memphis, Louisville, Baltimore, Milwaukee, Albuquerque, Tucson, Sacramento, Kansas City, Atlanta, Miami, Oakland, Minneapolis, New Orleans, Cleveland, Tampa, Pittsburgh,
Cincinnati, St. Louis, Orlando, Buffalo, Salt Lake City, Honolulu, Anchorage, Palo Alto, Mountain View, Cupertino, Redmond, Menlo Park, Mexico City, Guadalajara, Havana, Kingston, Panama City, Bogota, Medellin, Caracas, Quito, Lima, La Paz, Santiago,
Buenos Aires, Montevideo, Asuncion, Sao Paulo, Rio de Janeiro, Brasilia, Salvador""")

PLACES = split("""Europe, Asia, Africa, North America, South America, Antarctica, the Middle East, Latin America, Scandinavia, the Balkans, Silicon Valley, Hollywood, Wall Street, Manhattan, Brooklyn, Queens, the Bronx, Times Square,
Central Park, Broadway, Fifth Avenue, the Golden Gate Bridge, the Empire State Building, the Statue of Liberty, the Grand Canyon, Yellowstone, Niagara Falls, the Rocky Mountains, Mount Everest, the Himalayas, the Alps, the Andes, the Sahara,
the Amazon, the Nile, the Mississippi, the Danube, the Rhine, the Thames, the Seine, the Atlantic Ocean, the Pacific, the Mediterranean, the Black Sea, the Baltic Sea, the Caribbean, the English Channel, Lake Michigan, Lake Geneva, Loch Ness, Mount Fuji,
Mount Kilimanjaro, the Eiffel Tower, the Louvre, Notre Dame, Big Ben, Buckingham Palace, Trafalgar Square, Hyde Park, Heathrow, Heathrow Airport, JFK, Gatwick, Camden, Soho, Westminster, Stonehenge, the Colosseum, the Vatican, Red Square, the Kremlin, the Great Wall,
Tiananmen Square, the Taj Mahal, Bondi Beach, Hawaii, Bali, Crete, Corsica, Sardinia, Ibiza, Long Island, Cape Cod, Gaza, the West Bank, Crimea, Siberia, Kashmir, Tibet, Greenland, Puerto Rico, Bermuda, the Falkland Islands""")

PEOPLE = split("""Barack Obama, Donald Trump, Joe Biden, Hillary Clinton, Bill Clinton, George Bush, Ronald Reagan, John F. Kennedy, Abraham Lincoln, George Washington, Thomas Jefferson, Franklin Roosevelt, Winston Churchill, Margaret Thatcher,
Tony Blair, David Cameron, Boris Johnson, Theresa May, Angela Merkel, Emmanuel Macron, Nicolas Sarkozy, Vladimir Putin, Xi Jinping, Narendra Modi, Nelson Mandela, Mahatma Gandhi, Martin Luther King, Albert Einstein, Isaac Newton, Marie Curie,
Charles Darwin, Stephen Hawking, Nikola Tesla, Thomas Edison, Alan Turing, Ada Lovelace, Galileo Galilei, Leonardo da Vinci, Michelangelo, Pablo Picasso, Vincent van Gogh, Claude Monet, Wolfgang Amadeus Mozart, Ludwig van Beethoven, Johann Sebastian Bach,
William Shakespeare, Charles Dickens, Jane Austen, Mark Twain, Ernest Hemingway, George Orwell, Agatha Christie, J. K. Rowling, J. R. R. Tolkien, Stephen King, Virginia Woolf, Leo Tolstoy, Bill Gates, Steve Jobs, Elon Musk, Jeff Bezos, Mark Zuckerberg,
Larry Page, Sergey Brin, Tim Cook, Satya Nadella, Sundar Pichai, Warren Buffett, Oprah Winfrey, Tom Hanks, Brad Pitt, Angelina Jolie, Leonardo DiCaprio, Meryl Streep, Julia Roberts, George Clooney, Steven Spielberg, Quentin Tarantino, Alfred Hitchcock,
Michael Jackson, Elvis Presley, Madonna, Beyoncé, Taylor Swift, Justin Bieber, Lady Gaga, Rihanna, Adele, Ed Sheeran, Bob Dylan, John Lennon, Paul McCartney, David Bowie, Freddie Mercury, Lionel Messi, Cristiano Ronaldo, David Beckham, Pelé, Diego Maradona,
Roger Federer, Rafael Nadal, Novak Djokovic, Serena Williams, Michael Jordan, LeBron James, Kobe Bryant, Usain Bolt, Tiger Woods, Muhammad Ali, Lewis Hamilton, Neil Armstrong, Yuri Gagarin, Queen Elizabeth, Prince William, Princess Diana, Pope Francis, Julius Caesar, Napoleon Bonaparte,
Christopher Columbus, Marco Polo, Karl Marx, Sigmund Freud, Friedrich Nietzsche, Immanuel Kant, Aristotle, Plato, Socrates, Confucius, Buddha, Jesus, Anne Frank, Rosa Parks, Linus Torvalds, Grace Hopper, Kanye West, Kim Kardashian""")

# Capitalised words that are no entity of ours.
NATIONALITIES = split("""American, British, French, German, Italian, Spanish, Portuguese, Dutch, Belgian, Swiss, Austrian, Polish, Czech, Russian, Ukrainian, Greek, Turkish, Swedish, Norwegian, Danish, Finnish, Irish, Scottish, Chinese, Japanese, Korean,
Vietnamese, Thai, Indian, Pakistani, Indonesian, Egyptian, Nigerian, Kenyan, Moroccan, Israeli, Iranian, Iraqi, Brazilian, Mexican, Argentine, Chilean, Cuban, Canadian, Australian, European, Asian, African""")
LANGUAGES = split("English, French, German, Spanish, Italian, Russian, Chinese, Japanese, Arabic, Latin, Hindi, Portuguese, Dutch, Greek, Turkish, Polish")
DAYS = split("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday")
MONTHS = split("January, February, March, April, May, June, July, August, September, October, November, December")
OCCASIONS = split("Christmas, Easter, Thanksgiving, Halloween, New Year's Eve, Ramadan, Hanukkah, Valentine's Day, Independence Day, the Olympics, the World Cup, World War II, the Cold War, the Renaissance")
PRODUCTS = split("""iPhone, iPad, Android, Windows, Linux, Excel, Photoshop, Gmail, Wi-Fi, Bluetooth, Python, Java, JavaScript, Rust, PlayStation, Xbox, Kindle, MacBook, DVD, TV, GPS, USB, HTML, PDF, SQL, CPU, ATM, PIN, VIP, CEO, CTO, CFO, PhD, MBA, COVID-19, AIDS, DNA""")
ROLES = split("""the president, the prime minister, the chancellor, the mayor, the chief executive, the CEO, the manager, the coach, the director, my boss, the minister, the governor, the senator, the professor, the teacher, our doctor, the lawyer, the judge, the detective,
the police, a spokesman, a spokeswoman, the chairman, the engineer, the architect, the author, my neighbour, my sister, his brother, her husband, the students, the workers, the tourists, the committee, the board, the government, the company, the team, the bank, the city, the country, the university""")
