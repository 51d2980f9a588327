"""The words of the demo's spoken vocabulary, by topic.

All are in the pronouncing dictionary of pocketsphinx's en-us model; `grammar.build` checks that.
They are in written form, so the transcript takes its capital letters from here.
"""

from typing import Final


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(phrase.strip() for phrase in text.split(","))


FIRST_NAMES: Final = _words("""
    Abraham Adam Adrian Ahmed Akira Alan Albert Alex Alexander Alfred Alice Alicia Amanda Amy Andrea
    Andreas Andrew Angela Anna Anne Anthony Antonio Arthur Ashley Barbara Beatrice Benjamin Bernard
    Beth Brandon Brenda Brian Bruce Bruno Carla Carlos Carmen Carol Caroline Catherine Cecilia
    Charles Charlotte Chloe Chris Christian Christina Christopher Claire Clara Claudia Colin Connor
    Cynthia Daniel Daniela David Deborah Diana Diego Dimitri Dmitri Dominic Donald Donna
    Dorothy Douglas Eduardo Edward Elena Eleanor Elizabeth Emily Emma Eric Erica Ernesto Esther
    Eugene Eva Fatima Felix Fernando Florence Frances Francesca Francisco Frank Franz Fred Frederick
    Gabriel George Gordon Gregory Gustavo Hannah Hans Harry Hassan Hector Heidi Helen Helena
    Henry Hiroshi Howard Hugo Ian Igor Ingrid Irene Isaac Isabel Isabella Ivan Jack Jacob Jacqueline
    James Jamal Jane Janet Jason Javier Jean Jennifer Jeremy Jessica Jesus Joan Johann John Jonathan
    Jose Joseph Joshua Juan Juanita Judith Julia Julian Karen Karl Kate Kathleen Keith Kenji Kenneth
    Kevin Klaus Kurt Laura Lauren Leonardo Linda Lisa Louis Lucas Lucia Lucy Luke Manuel Marcel
    Marco Marcus Margaret Maria Marie Mario Mark Martha Martin Martina Mary Matthew Max Maxwell
    Melissa Michael Michelle Miguel Mohammed Monica Nancy Natalie Natasha Nathan Nicholas Nicole
    Nina Noah Nora Oliver Olivia Oscar Otto Pablo Patricia Patrick Paul Paula Pedro Peter Pierre
    Priscilla Rachel Rafael Ramon Raymond Rebecca Ricardo Richard Rita Robert Roberto Roger Roland
    Roman Ronald Rosa Ruth Ryan Samantha Samuel Sandra Sarah Sebastian Sergei Sharon Silvia Simon
    Sofia Sonia Sophie Stefan Stephanie Stephen Susan Tamara Tanya Teresa Theodore Thomas Tim
    Timothy Tina Tom Tony Ursula Valerie Vanessa Vera Veronica Victor Victoria Vincent Virginia
    Vladimir Walter Wanda Wendy William Wolfgang Yolanda Yvonne
""")

CITIES: Final = _phrases("""
    Amsterdam, Athens, Atlanta, Auckland, Baghdad, Bangkok, Barcelona, Beijing, Berlin, Bombay,
    Boston, Brussels, Bucharest, Budapest, Buenos Aires, Cairo, Calcutta, Cape Town, Chicago,
    Cologne, Copenhagen, Dallas, Delhi, Denver, Detroit, Dublin, Edinburgh, Frankfurt, Geneva,
    Glasgow, Hamburg, Hanoi, Helsinki, Hong Kong, Houston, Istanbul, Jakarta, Jerusalem,
    Johannesburg, Lagos, Lima, Lisbon, London, Los Angeles, Madrid, Manchester, Manila, Melbourne,
    Mexico City, Miami, Milan, Montreal, Moscow, Mumbai, Munich, Nairobi, Naples, New York, Osaka,
    Oslo, Paris, Philadelphia, Prague, Rome, San Francisco, Santiago, Sao Paulo, Seattle, Seoul,
    Shanghai, Singapore, Stockholm, Sydney, Tehran, Tokyo, Toronto, Vancouver, Venice, Vienna,
    Warsaw, Washington, Zurich
""")

COUNTRIES: Final = _phrases("""
    America, Argentina, Australia, Austria, Belgium, Brazil, Canada, Chile, China, Colombia, Cuba,
    Denmark, Egypt, England, Finland, France, Germany, Greece, Hungary, India, Indonesia, Iran,
    Iraq, Ireland, Israel, Italy, Japan, Kenya, Korea, Mexico, Morocco, Nigeria, Norway, Pakistan,
    Peru, Poland, Portugal, Romania, Russia, Scotland, Spain, Sweden, Switzerland, Thailand,
    Turkey, Ukraine, Vietnam, Wales
""")

LANGUAGES: Final = _words("English French German Spanish")

WEEKDAYS: Final = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")

MONTHS: Final = _words("""
    January February March April May June July August September October November December
""")

COLORS: Final = _words("""
    red green blue yellow orange purple pink brown black white gray silver golden
""")

PETS: Final = _words("cat dog horse rabbit hamster parrot turtle goldfish kitten puppy pony")

PEOPLE: Final = _words("""
    son daughter brother sister wife husband mother father boss friend teacher doctor neighbor
    grandmother grandfather uncle cousin girlfriend boyfriend
""")

OBJECTS: Final = _words("car bicycle boat house kitchen sofa bag umbrella jacket phone")

THINGS: Final = _phrases("""
    apples, bananas, bread, butter, cheese, chicken, chocolate, coffee, cookies, eggs, fish, garlic,
    honey, ice cream, lemons, milk, mushrooms, nuts, onions, pancakes, pasta, peanuts, pepper,
    pizza, potatoes, rice, salad, soup, strawberries, sugar, tea, tomatoes, vegetables, water, wine,
    cats, dogs, horses, birds, flowers, trees, mountains, rain, snow, the sea, the sun, books,
    cooking, dancing, football, gardening, jazz, movies, music, opera, painting, photography,
    poetry, reading, running, sailing, singing, swimming, tennis, traveling, chess, computers,
    robots
""")

EVENTS: Final = _phrases("""
    dentist appointment, doctor's appointment, flight, lesson, meeting, party, piano lesson,
    rehearsal, wedding
""")

VOWEL_EVENTS: Final = _words("appointment exam interview")
"""The events that follow "an"."""

NUMBERS: Final = _words("""
    one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen twenty
""")

PLACES: Final = _phrases("""
    under the mat, in the kitchen, in the garage, in the garden, in the drawer, in my bag,
    on the table, next to the door, at the office, at home
""")

DECOYS: Final = _words("""
    a about after all also ask ate away back bad be because been before big book break bring broken
    but buy by came capital car change close cold come computer cost could cut did different dinner
    doing done door down drink drive end enough ever every explain fall fast feel find fine first
    food fox from full game get give go going got great had half happy hard has have hear here him
    his hmm home hot hour how hungry idea if important interesting into is job joke just kind last
    late leave let letters lights little long lot love make many market maybe mean might milk mind
    minute money more mother move movie much must need never new news next nice night nobody not
    nothing now of off only open or order other our out over pay people place play point president
    price problem put question quick quiet rather read ready really right room same say second see
    sell send set shall she shop should show sick sleep slow so some something soon sorry sound
    speech sports start story such sure table take tell the their them then there these they thing
    think time tired to today together told tomorrow tonight too train trouble try turn uh um under
    us use very wait walk want watch way well were what where which while who why with woman wonder
    word work would write wrong yet your young banana okay wallet
""")
"""Common words that only compete: speech that fits these better is not one of our sentences."""

PRONUNCIATIONS: Final = {
    "ahmed": "AA M EH D",
    "elena": "EH L EY N AH",
    "maria": "M AH R IY AH",
    "mohammed": "M OW HH AE M IH D",
    "sofia": "S OW F IY AH",
}
"""Second pronunciations of names, in the dictionary's phones (ARPAbet)."""
