"""The sentences that the demo says, in four languages.

They are spoken: short, without lists or markup. `reply` fills in `{…}`.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

DEFAULT_LANGUAGE: Final = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """All sentences of one language.

    Attributes:
        other: Honest answers to a sentence that was not understood. The text decides which one.
        confirm_forgetting: The question before an erasure. It is recognised in the conversation by
            these exact words, so no other sentence may contain it.
        visits: From the second visit on, filled with `visit`.
        topics: Names of the kinds of turns, for the question what we talked about.
        link: Joins two facts.
        before_fact: Stands between the sentence and the fact that it quotes.
    """

    hello: str
    hello_named: str
    listening: str
    listening_named: str
    nice_to_meet: str
    your_name: str
    name_unknown: str
    fact_kept: str
    facts: str
    facts_and_name: str
    nothing_kept: str
    talked_about: str
    last_time: str
    nothing_said: str
    topics: MappingProxyType[str, str]
    first_visit: str
    visits: str
    language_set: str
    language_already: str
    language_unknown: str
    confirm_forgetting: str
    forgotten: str
    not_forgotten: str
    help: str
    who: str
    how_are_you: str
    thanks: str
    goodbye: str
    goodbye_named: str
    yes: str
    no: str
    stop: str
    nothing_to_repeat: str
    inaudible: str
    other: tuple[str, ...]
    no_tool: str
    tool_failed: str
    link: str
    before_fact: str


_EN: Final = Phrases(
    hello="Hello! Nice to meet you. What is your name?",
    hello_named="Hello, {name}. What can I do for you?",
    listening="I am here. What can I do for you?",
    listening_named="I am here, {name}. What can I do for you?",
    nice_to_meet="Nice to meet you, {name}. I will remember your name.",
    your_name="Your name is {name}.",
    name_unknown="You have not told me your name yet. What is it?",
    fact_kept="All right, I will remember that {fact}.",
    facts="You asked me to remember that {facts}.",
    facts_and_name="Your name is {name}, and you asked me to remember that {facts}.",
    nothing_kept="You have not asked me to remember anything yet.",
    talked_about="We talked about {topics}.",
    last_time="Last time you said: {query}.",
    nothing_said="We have not talked about anything yet. You could tell me your name.",
    topics=MappingProxyType(
        {
            "name": "your name",
            "facts": "what I remember for you",
            "fact": "what you told me: {text}",
            "visits": "how often you have been here",
            "language": "the language we speak",
            "forget": "forgetting you",
            "help": "what I can do",
            "said": "this, in your words: {text}",
        }
    ),
    first_visit="This is your first time here. Welcome!",
    visits="This is your visit number {visit}. It is good to have you back.",
    language_set="Of course, let us speak English.",
    language_already="We are speaking English already.",
    language_unknown="I speak English, Spanish, German and French. Which one would you like?",
    confirm_forgetting="Shall I forget everything about you? Please say yes or no.",
    forgotten="Done. I have forgotten everything about you.",
    not_forgotten="All right, I will keep everything.",
    help=(
        "Tell me your name, or ask me to remember something, such as: remember that my cat is"
        " called Tom. Then reload the page, and ask me what I know."
    ),
    who=(
        "I am a small demo of conversations that survive. I have no language model, but I"
        " remember well."
    ),
    how_are_you="I am fine, thank you. What can I do for you?",
    thanks="You are welcome.",
    goodbye="Goodbye! I will be here when you come back.",
    goodbye_named="Goodbye, {name}! I will be here when you come back.",
    yes="Good. What would you like to do?",
    no="All right. Just tell me when you need something.",
    stop="All right, I am quiet.",
    nothing_to_repeat="I have not said anything yet.",
    inaudible=(
        "I did not catch that. You can say: my name is Maria, or: what did I ask you to remember?"
    ),
    other=(
        (
            "I can't answer that: I am only a small demo without a language model. I can remember"
            " your name, and anything else you ask me to remember."
        ),
        (
            "Sorry, I can't answer that, because I have no language model. Try: remember that my"
            " cat is called Tom."
        ),
        (
            "That is too much for a small demo like me. But you can ask me what we talked about,"
            " or to speak Spanish."
        ),
    ),
    no_tool="I am sorry, I cannot do that here.",
    tool_failed="I am sorry, that did not work. Please try again in a moment.",
    link=", and that ",
    before_fact="",
)

_ES: Final = Phrases(
    hello="¡Hola! Encantado de conocerte. ¿Cómo te llamas?",
    hello_named="Hola, {name}. ¿Qué puedo hacer por ti?",
    listening="Aquí estoy. ¿Qué puedo hacer por ti?",
    listening_named="Aquí estoy, {name}. ¿Qué puedo hacer por ti?",
    nice_to_meet="Encantado, {name}. Recordaré tu nombre.",
    your_name="Te llamas {name}.",
    name_unknown="Todavía no me has dicho tu nombre. ¿Cómo te llamas?",
    fact_kept="De acuerdo, recordaré que {fact}.",
    facts="Me pediste recordar que {facts}.",
    facts_and_name="Te llamas {name}, y me pediste recordar que {facts}.",
    nothing_kept="Todavía no me has pedido recordar nada.",
    talked_about="Hablamos de {topics}.",
    last_time="La última vez dijiste: {query}.",
    nothing_said="Todavía no hemos hablado de nada. Puedes decirme tu nombre.",
    topics=MappingProxyType(
        {
            "name": "tu nombre",
            "facts": "lo que recuerdo de ti",
            "fact": "lo que me contaste: {text}",
            "visits": "cuántas veces has estado aquí",
            "language": "el idioma que hablamos",
            "forget": "olvidarte",
            "help": "lo que sé hacer",
            "said": "esto, con tus palabras: {text}",
        }
    ),
    first_visit="Es tu primera vez aquí. ¡Bienvenido!",
    visits="Esta es tu visita número {visit}. Me alegra tenerte de vuelta.",
    language_set="Claro, hablemos español.",
    language_already="Ya estamos hablando español.",
    language_unknown="Hablo inglés, español, alemán y francés. ¿Cuál prefieres?",
    confirm_forgetting="¿Quieres que olvide todo sobre ti? Di sí o no, por favor.",
    forgotten="Hecho. He olvidado todo sobre ti.",
    not_forgotten="De acuerdo, lo conservo todo.",
    help=(
        "Dime tu nombre, o pídeme recordar algo, por ejemplo: recuerda que mi gato se llama Tom."
        " Luego recarga la página y pregúntame qué sé."
    ),
    who=(
        "Soy una pequeña demostración de conversaciones que sobreviven. No tengo modelo de"
        " lenguaje, pero tengo buena memoria."
    ),
    how_are_you="Estoy bien, gracias. ¿Qué puedo hacer por ti?",
    thanks="De nada.",
    goodbye="¡Hasta luego! Aquí estaré cuando vuelvas.",
    goodbye_named="¡Hasta luego, {name}! Aquí estaré cuando vuelvas.",
    yes="Bien. ¿Qué te gustaría hacer?",
    no="De acuerdo. Avísame cuando necesites algo.",
    stop="De acuerdo, me callo.",
    nothing_to_repeat="Todavía no he dicho nada.",
    inaudible=(
        "No te he entendido. Puedes decir: me llamo María, o: ¿qué te pedí recordar?"
        " De viva voz solo entiendo inglés."
    ),
    other=(
        (
            "No puedo responder a eso: solo soy una pequeña demostración sin modelo de lenguaje."
            " Puedo recordar tu nombre y lo que me pidas."
        ),
        (
            "Lo siento, no puedo responder a eso, porque no tengo modelo de lenguaje. Prueba con:"
            " recuerda que mi gato se llama Tom."
        ),
        (
            "Eso es demasiado para una demostración tan pequeña. Pero puedes preguntarme de qué"
            " hablamos, o pedirme que hable inglés."
        ),
    ),
    no_tool="Lo siento, eso no puedo hacerlo aquí.",
    tool_failed="Lo siento, ahora mismo no ha funcionado. Inténtalo otra vez en un momento.",
    link=", y que ",
    before_fact="",
)

_DE: Final = Phrases(
    hello="Hallo! Schön, dich kennenzulernen. Wie heißt du?",
    hello_named="Hallo, {name}. Was kann ich für dich tun?",
    listening="Ich bin da. Was kann ich für dich tun?",
    listening_named="Ich bin da, {name}. Was kann ich für dich tun?",
    nice_to_meet="Freut mich, {name}. Ich merke mir deinen Namen.",
    your_name="Du heißt {name}.",
    name_unknown="Du hast mir deinen Namen noch nicht gesagt. Wie heißt du?",
    fact_kept="Gut, ich merke mir{fact}.",
    facts="Du wolltest, dass ich mir merke{facts}.",
    facts_and_name="Du heißt {name}, und du wolltest, dass ich mir merke{facts}.",
    nothing_kept="Du hast mich noch nicht gebeten, mir etwas zu merken.",
    talked_about="Es ging um {topics}.",
    last_time="Beim letzten Mal hast du gesagt: {query}.",
    nothing_said="Wir haben noch über nichts gesprochen. Du kannst mir deinen Namen sagen.",
    topics=MappingProxyType(
        {
            "name": "deinen Namen",
            "facts": "das, was ich mir für dich merke",
            "fact": "das, was ich mir merken soll: {text}",
            "visits": "deine Besuche",
            "language": "unsere Sprache",
            "forget": "das Vergessen",
            "help": "das, was ich kann",
            "said": "das hier, in deinen Worten: {text}",
        }
    ),
    first_visit="Du bist zum ersten Mal hier. Willkommen!",
    visits="Das ist dein Besuch Nummer {visit}. Schön, dass du wieder da bist.",
    language_set="Gern, sprechen wir Deutsch.",
    language_already="Wir sprechen schon Deutsch.",
    language_unknown="Ich spreche Englisch, Spanisch, Deutsch und Französisch. Was möchtest du?",
    confirm_forgetting="Soll ich alles über dich vergessen? Sag bitte ja oder nein.",
    forgotten="Erledigt. Ich habe alles über dich vergessen.",
    not_forgotten="Gut, ich behalte alles.",
    help=(
        "Sag mir deinen Namen, oder gib mir etwas zum Merken, zum Beispiel: merk dir, dass meine"
        " Katze Tom heißt. Dann lade die Seite neu, und frag mich, was ich weiß."
    ),
    who=(
        "Ich bin eine kleine Demo für Gespräche, die nicht verloren gehen. Ich habe kein"
        " Sprachmodell, aber ein gutes Gedächtnis."
    ),
    how_are_you="Mir geht es gut, danke. Was kann ich für dich tun?",
    thanks="Gern geschehen.",
    goodbye="Bis bald! Ich bin da, wenn du wiederkommst.",
    goodbye_named="Bis bald, {name}! Ich bin da, wenn du wiederkommst.",
    yes="Schön. Was möchtest du tun?",
    no="In Ordnung. Sag einfach, wenn du etwas brauchst.",
    stop="In Ordnung, ich bin still.",
    nothing_to_repeat="Ich habe noch nichts gesagt.",
    inaudible=(
        "Das habe ich nicht verstanden. Du kannst sagen: ich heiße Maria, oder: was solltest du"
        " dir merken? Gesprochen verstehe ich nur Englisch."
    ),
    other=(
        (
            "Darauf kann ich nicht antworten: Ich bin nur eine kleine Demo ohne Sprachmodell. Ich"
            " kann mir deinen Namen merken, und was du mir sonst sagst."
        ),
        (
            "Darauf kann ich leider nicht antworten, denn ich habe kein Sprachmodell. Versuch"
            " einmal: merk dir, dass meine Katze Tom heißt."
        ),
        (
            "Das ist zu viel für eine so kleine Demo. Aber frag mich, worüber wir gesprochen haben,"
            " oder sag: sprich Englisch."
        ),
    ),
    no_tool="Das kann ich hier leider nicht.",
    tool_failed="Das hat gerade leider nicht geklappt. Versuch es bitte gleich noch einmal.",
    link=", und",
    before_fact=": ",
)

_FR: Final = Phrases(
    hello="Bonjour ! Enchanté. Comment t'appelles-tu ?",
    hello_named="Bonjour, {name}. Que puis-je faire pour toi ?",
    listening="Je suis là. Que puis-je faire pour toi ?",
    listening_named="Je suis là, {name}. Que puis-je faire pour toi ?",
    nice_to_meet="Enchanté, {name}. Je me souviendrai de ton nom.",
    your_name="Tu t'appelles {name}.",
    name_unknown="Tu ne m'as pas encore dit ton nom. Comment t'appelles-tu ?",
    fact_kept="D'accord, je retiens ceci : {fact}.",
    facts="Tu m'as demandé de retenir ceci : {facts}.",
    facts_and_name="Tu t'appelles {name}, et tu m'as demandé de retenir ceci : {facts}.",
    nothing_kept="Tu ne m'as encore rien demandé de retenir.",
    talked_about="Nous avons parlé de ceci : {topics}.",
    last_time="La dernière fois, tu as dit : {query}.",
    nothing_said="Nous n'avons encore parlé de rien. Tu peux me dire ton nom.",
    topics=MappingProxyType(
        {
            "name": "ton nom",
            "facts": "ce que je retiens pour toi",
            "fact": "ce que tu m'as confié : {text}",
            "visits": "tes visites",
            "language": "notre langue",
            "forget": "l'oubli",
            "help": "ce que je sais faire",
            "said": "tes mots, {text}",
        }
    ),
    first_visit="C'est ta première visite. Bienvenue !",
    visits="C'est ta visite numéro {visit}. Ravi de te retrouver.",
    language_set="Bien sûr, parlons français.",
    language_already="Nous parlons déjà français.",
    language_unknown="Je parle anglais, espagnol, allemand et français. Que préfères-tu ?",
    confirm_forgetting="Dois-je oublier tout ce que je sais de toi ? Réponds par oui ou non.",
    forgotten="C'est fait. J'ai tout oublié de toi.",
    not_forgotten="D'accord, je garde tout.",
    help=(
        "Dis-moi ton nom, ou demande-moi de retenir quelque chose, par exemple : retiens que mon"
        " chat s'appelle Tom. Puis recharge la page, et demande-moi ce que je sais."
    ),
    who=(
        "Je suis une petite démo de conversations qui survivent. Je n'ai pas de modèle de langage,"
        " mais j'ai bonne mémoire."
    ),
    how_are_you="Je vais bien, merci. Que puis-je faire pour toi ?",
    thanks="Je t'en prie.",
    goodbye="À bientôt ! Je serai là quand tu reviendras.",
    goodbye_named="À bientôt, {name} ! Je serai là quand tu reviendras.",
    yes="Très bien. Que veux-tu faire ?",
    no="D'accord. Dis-moi quand tu as besoin de quelque chose.",
    stop="D'accord, je me tais.",
    nothing_to_repeat="Je n'ai encore rien dit.",
    inaudible=(
        "Je n'ai pas compris. Tu peux dire : je m'appelle Maria, ou : que dois-tu retenir ?"
        " À l'oral, je ne comprends que l'anglais."
    ),
    other=(
        (
            "Je ne peux pas répondre à cela : je ne suis qu'une petite démo sans modèle de langage."
            " Je peux retenir ton nom et ce que tu me confies."
        ),
        (
            "Désolé, je ne peux pas répondre à cela, car je n'ai pas de modèle de langage. Essaie :"
            " retiens que mon chat s'appelle Tom."
        ),
        (
            "C'est trop pour une si petite démo. Mais demande-moi de quoi nous avons parlé, ou de"
            " parler anglais."
        ),
    ),
    no_tool="Désolé, je ne peux pas faire cela ici.",
    tool_failed="Désolé, cela n'a pas marché. Réessaie dans un instant.",
    link=", et ",
    before_fact="",
)

PHRASES: Final = MappingProxyType({"en": _EN, "es": _ES, "de": _DE, "fr": _FR})

LANGUAGES: Final = tuple(PHRASES)
"""The languages of the demo: `en`, `es`, `de`, `fr`."""
