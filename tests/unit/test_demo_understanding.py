"""What the demo understands, in four languages, and how it speaks of it."""

import time

import pytest

from demo_models.intents import Kind
from demo_models.memory import Memory, read_memory
from demo_models.names import read_name
from demo_models.perspective import to_listener
from demo_models.phrases import LANGUAGES, PHRASES
from demo_models.text import clip, read_text
from demo_models.understanding import understand, understand_name

SAID = [
    ("My name is Maria", Kind.NAME_GIVEN, "Maria"),
    ("my name is maria.", Kind.NAME_GIVEN, "Maria"),
    ("Hello, my name is Jürgen Müller and I live in Bonn.", Kind.NAME_GIVEN, "Jürgen Müller"),
    ("My name is O\u2019Neill", Kind.NAME_GIVEN, "O'Neill"),
    ("my name is o'neill", Kind.NAME_GIVEN, "O'Neill"),
    ("My name is María de la Cruz", Kind.NAME_GIVEN, "María de la Cruz"),
    ("My name is 李", Kind.NAME_GIVEN, "李"),
    ("call me Tom please", Kind.NAME_GIVEN, "Tom"),
    ("I'm Elena", Kind.NAME_GIVEN, "Elena"),
    ("i am tom", Kind.NAME_GIVEN, "Tom"),
    ("Remember that my name is Tom", Kind.NAME_GIVEN, "Tom"),
    ("Me llamo María", Kind.NAME_GIVEN, "María"),
    ("Soy María", Kind.NAME_GIVEN, "María"),
    ("Ich heiße Jürgen", Kind.NAME_GIVEN, "Jürgen"),
    ("Ich bin Jürgen", Kind.NAME_GIVEN, "Jürgen"),
    ("Je m'appelle Zoé", Kind.NAME_GIVEN, "Zoé"),
    ("I am tired", Kind.OTHER, ""),
    ("I am from Spain", Kind.OTHER, ""),
    ("I'm German", Kind.OTHER, ""),
    ("My name is not important", Kind.OTHER, ""),
    ("call me a taxi", Kind.OTHER, ""),
    ("call me later", Kind.OTHER, ""),
    ("Ich bin müde", Kind.OTHER, ""),
    ("Ich bin Arzt", Kind.OTHER, ""),
    ("Estoy cansada", Kind.OTHER, ""),
    ("Je suis fatigué", Kind.OTHER, ""),
    ("What is my name?", Kind.NAME_ASKED, ""),
    ("Who am I?", Kind.NAME_ASKED, ""),
    ("Do you remember me?", Kind.NAME_ASKED, ""),
    ("¿Cómo me llamo?", Kind.NAME_ASKED, ""),
    ("como me llamo", Kind.NAME_ASKED, ""),
    ("Wie heiße ich?", Kind.NAME_ASKED, ""),
    ("Wie heisse ich", Kind.NAME_ASKED, ""),
    ("Comment je m'appelle ?", Kind.NAME_ASKED, ""),
    ("Remember that my cat is called Tom.", Kind.FACT_GIVEN, "my cat is called Tom"),
    ("Please remember: I like tea", Kind.FACT_GIVEN, "I like tea"),
    ("Recuerda que mi gato se llama Tom", Kind.FACT_GIVEN, "mi gato se llama Tom"),
    ("Merk dir bitte, dass mein Hund Rex heißt", Kind.FACT_GIVEN, "dass mein Hund Rex heißt"),
    ("Retiens que mon chat s'appelle Tom", Kind.FACT_GIVEN, "mon chat s'appelle Tom"),
    ("What did I ask you to remember?", Kind.FACTS_ASKED, ""),
    ("What do you know about me?", Kind.FACTS_ASKED, ""),
    ("¿Qué sabes de mí?", Kind.FACTS_ASKED, ""),
    ("Was weißt du über mich?", Kind.FACTS_ASKED, ""),
    ("Que sais-tu de moi ?", Kind.FACTS_ASKED, ""),
    ("What did we talk about?", Kind.TOPICS_ASKED, ""),
    ("¿De qué hablamos?", Kind.TOPICS_ASKED, ""),
    ("Worüber haben wir gesprochen?", Kind.TOPICS_ASKED, ""),
    ("De quoi avons-nous parlé ?", Kind.TOPICS_ASKED, ""),
    ("How often was I here?", Kind.VISITS_ASKED, ""),
    ("¿Cuántas veces he estado aquí?", Kind.VISITS_ASKED, ""),
    ("Wie oft war ich hier?", Kind.VISITS_ASKED, ""),
    ("Combien de fois suis-je venu ?", Kind.VISITS_ASKED, ""),
    ("Speak Spanish", Kind.LANGUAGE_WANTED, "es"),
    ("Can you speak German, please?", Kind.LANGUAGE_WANTED, "de"),
    ("Habla español", Kind.LANGUAGE_WANTED, "es"),
    ("habla inglés por favor", Kind.LANGUAGE_WANTED, "en"),
    ("Sprich Deutsch!", Kind.LANGUAGE_WANTED, "de"),
    ("Lass uns Englisch sprechen", Kind.LANGUAGE_WANTED, "en"),
    ("Parlez-vous français ?", Kind.LANGUAGE_WANTED, "fr"),
    ("parle anglais", Kind.LANGUAGE_WANTED, "en"),
    ("Speak Chinese", Kind.LANGUAGE_UNKNOWN, ""),
    ("Forget me", Kind.FORGET_ME, ""),
    ("Forget everything you know about me", Kind.FORGET_ME, ""),
    ("Olvídame", Kind.FORGET_ME, ""),
    ("Vergiss mich", Kind.FORGET_ME, ""),
    ("Oublie-moi", Kind.FORGET_ME, ""),
    ("Yes, please.", Kind.YES, ""),
    ("Sí", Kind.YES, ""),
    ("Ja", Kind.YES, ""),
    ("Oui", Kind.YES, ""),
    ("No, thank you", Kind.NO, ""),
    ("Nein danke", Kind.NO, ""),
    ("Non", Kind.NO, ""),
    ("Hello!", Kind.HELLO, ""),
    ("Hola", Kind.HELLO, ""),
    ("Help", Kind.HELP, ""),
    ("Hilfe", Kind.HELP, ""),
    ("Thank you", Kind.THANKS, ""),
    ("Merci beaucoup", Kind.THANKS, ""),
    ("Goodbye", Kind.GOODBYE, ""),
    ("Tschüss", Kind.GOODBYE, ""),
    ("[inaudible]", Kind.INAUDIBLE, ""),
    ("I don't get it. What is my name?", Kind.NAME_ASKED, ""),
    ("What is the capital of France?", Kind.OTHER, ""),
    ("Do not forget", Kind.OTHER, ""),
    ("", Kind.OTHER, ""),
    ("?!", Kind.OTHER, ""),
]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("said", "kind", "value"), SAID)
def test_all_languages_are_understood_in_every_language(
    said: str, kind: Kind, value: str, language: str
) -> None:
    """A sentence means the same whichever language is being spoken."""
    intent = understand(said, language)
    assert (intent.kind, intent.value) == (kind, value)


@pytest.mark.parametrize(
    "text",
    [
        "my name is " * 1000,
        "a " * 5000,
        "remember that " * 900,
        "wie oft ich " * 900,
        "please " * 1500 + "spanish",
        "is this my visit" * 700,
        "¿" * 10_000,
        "x" * 10_000,
        "speak in " * 1200,
        ". " * 5000,
    ],
)
def test_long_text_takes_no_long_time(text: str) -> None:
    """No pattern backtracks without bound: ten times the text takes no hundred times as long."""
    short = min(seconds_for(text[: len(text) // 10]) for _ in range(5))
    # The best of several, since a busy machine is no slow pattern.
    assert min(seconds_for(text) for _ in range(5)) < 100 * short


def seconds_for(text: str) -> float:
    """Return how long it takes to understand a text."""
    start = time.perf_counter()
    understand(text, "en")
    return time.perf_counter() - start


def test_a_long_fact_is_cut_between_words() -> None:
    """What is remembered has a limit, and no half word at its end."""
    value = understand("remember that " + "my cat sleeps " * 200, "en").value
    assert len(value) <= 300
    assert value.endswith(("my", "cat", "sleeps"))


@pytest.mark.parametrize(
    ("answer", "name"),
    [("Maria", "Maria"), ("maria", "Maria"), ("Zoë Kowalski", "Zoë Kowalski"), ("later", None)],
)
def test_a_bare_name_answers_the_question_for_it(answer: str, name: str | None) -> None:
    """After "What is your name?" a name alone is enough, and not every word is a name."""
    assert understand_name(answer) == name


@pytest.mark.parametrize(
    "text", ["42", "a" * 61, "one two three four five six", "<b>", "", "not me"]
)
def test_what_is_no_name(text: str) -> None:
    """Numbers, markup, and whole sentences are no names, even after "my name is"."""
    assert read_name(read_text(text), sure=True) is None


@pytest.mark.parametrize(
    ("fact", "language", "told"),
    [
        ("my cat is called Tom", "en", "your cat is called Tom"),
        ("I am allergic to nuts and I'm tall", "en", "you are allergic to nuts and you're tall"),
        ("you are my friend", "en", "I am your friend"),
        ("the key is under the mat", "en", "the key is under the mat"),
        ("Emmy is mine", "en", "Emmy is yours"),
        ("mi gato se llama Tom", "es", "tu gato se llama Tom"),
        ("vivo en Madrid y me gusta", "es", "vives en Madrid y te gusta"),
        ("mi trabajo es duro", "es", "tu trabajo es duro"),
        ("mein Hund heißt Rex", "de", "dein Hund heißt Rex"),
        ("mein Bruder war da, und ich bin froh", "de", "dein Bruder war da, und du bist froh"),
        ("mon chat s'appelle Tom", "fr", "ton chat s'appelle Tom"),
        ("j'habite à Lyon", "fr", "tu habites à Lyon"),
        ("mi gato se llama Tom", "en", "tu gato se llama Tom"),
    ],
)
def test_facts_are_told_to_the_one_who_said_them(fact: str, language: str, told: str) -> None:
    """My becomes your, in the language of the fact, and nothing else changes."""
    assert to_listener(fact, language) == told


def test_memory_is_read_from_the_last_block() -> None:
    """The newest block of the instructions counts, with all that it says."""
    instructions = (
        '<memory>{"visit": 1, "language": "en"}</memory> and later\n<memory>\n'
        '{"visit": 2, "language": "de", "name": "Maria \\u003c3", "facts": ["a", 1, " "],'
        ' "last_query": null}\n</memory>'
    )
    assert read_memory(instructions) == Memory(
        visit=2, language="de", name="Maria <3", facts=("a",)
    )


@pytest.mark.parametrize(
    "block",
    ["", "<memory></memory>", "<memory>[1]</memory>", "<memory>{broken</memory>", "<memory>{}"],
)
def test_unreadable_memory_is_none(block: str) -> None:
    """Instructions without a readable block hold no memory."""
    assert read_memory(block) is None


def test_memory_of_wrong_types_is_missing() -> None:
    """A prompt can say anything; what is no memory is left out."""
    block = '<memory>{"visit": -3, "language": "xx", "name": 7, "facts": {}}</memory>'
    assert read_memory(block) == Memory()


def test_every_language_says_everything() -> None:
    """No phrase is empty, and only the question to confirm contains that question."""
    for phrases in PHRASES.values():
        texts = [
            text
            for slot in phrases.__slots__
            if slot != "before_fact" and isinstance(text := getattr(phrases, slot), str)
        ]
        assert all(texts)
        assert sum(phrases.confirm_forgetting in text for text in texts) == 1
        assert len(set(phrases.other)) == 3
        assert phrases.topics.keys() == PHRASES["en"].topics.keys()


def test_clip_keeps_what_fits() -> None:
    """A text within the limit stays as it is; a word longer than the limit is cut."""
    assert clip("short", 10) == "short"
    assert clip("two words", 5) == "two"
    assert clip("x" * 20, 5) == "xxxxx"
