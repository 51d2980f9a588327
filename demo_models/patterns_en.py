"""Patterns of English sentences; `understanding` uses them."""

from typing import Final

from demo_models.intents import Kind, Patterns

PATTERNS: Final[Patterns] = (
    (
        Kind.NAME_ASKED,
        (
            (
                "(?:what(?: is|'s|s| was)|(?:do|can) you (?:still )?(?:know|remember)|(?:can you "
                ")?(?:tell me|say)|remember) my name(?: again| please)?"
            ),
            "who am i",
            "what am i called",
            "(?:do you (?:still )?(?:know|remember)|remember) (?:me|who i am)",
            "do you know what my name is",
        ),
    ),
    (
        Kind.FACTS_ASKED,
        (
            "what (?:did|have) i (?:ask|asked|tell|told) you(?: to (?:remember|keep in mind))?",
            (
                "what (?:do|did|can|should) you (?:still )?(?:know|remember|have)(?: about me| "
                "on me| for me| of me)?"
            ),
            "what was i asking you to remember",
            "(?:tell me )?(?:everything |all )?(?:what )?you (?:know|remember) about me",
        ),
    ),
    (
        Kind.TOPICS_ASKED,
        (
            (
                "what (?:did|have|were|was|are) (?:we|i|you and i) (?:just |last )?(?:talk(?:ed|"
                r"ing)?|sp(?:eak|oke|oken|eaking)|discuss(?:ed|ing)?|say(?:ing)?)\b.*"
            ),
            "where (?:were we|did we (?:stop|leave off))",
            "what was (?:our last conversation|the last thing).*",
            (
                "do you (?:still )?remember (?:what we (?:talked|spoke)|our (?:last )?(?:talk|"
                "conversation)).*"
            ),
        ),
    ),
    (
        Kind.VISITS_ASKED,
        (
            (
                "how (?:often|many times) (?:was i|were we|have i|have we|did i|did we|i have "
                r"been)\b.*"
            ),
            "(?:is|was) this my .*(?:visit|time)(?: here)?",
            "how many visits.*",
        ),
    ),
    (
        Kind.FORGET_ME,
        (
            (
                "(?:please |can you |could you |you can |i want you to )?(?:forget (?:about "
                ")?(?:me|everything|all|all of it|my (?:data|name)|who i am|what you know)|"
                "(?:delete|erase|remove) (?:me|everything|all|my data|all my data|my memory|it "
                "all|what you know))(?: that)?(?: you know| you remember)?(?: about me| of "
                "me)?(?: please)?"
            ),
        ),
    ),
    (
        Kind.FACT_GIVEN,
        (
            (
                "(?:can you |could you |will you |you should |i want you to )?(?:please "
                ")?(?:remember|don't forget|do not forget|never forget|keep in mind|note|make a "
                r"note)(?: this| down| for me| please)?[:,]?(?: that)? (?P<fact>\S+ \S.*)"
            ),
        ),
    ),
    (
        Kind.NAME_GIVEN,
        (
            (
                "(?:my (?:first |full )?name(?: is|'s|s)|the name is|i am called|i'm called|i go "
                r"by|people call me) (?P<sure>\S.*)"
            ),
            (
                "(?:(?:no |yes )?(?:i am|i'm|im|it is|it's|this is)|(?:you can |just |please "
                r")?call me) (?P<maybe>\S.*)"
            ),
        ),
    ),
    (
        Kind.HOW_ARE_YOU,
        (
            "how are you(?: doing| today)*",
            "how is it going",
            "how's it going",
            "what's up",
        ),
    ),
    (
        Kind.WHO_ARE_YOU,
        (
            "(?:and )?who are you",
            "what are you",
            "what(?: is|'s) your name",
            "tell me about yourself",
            "are you (?:a |an )?(?:robot|human|real|ai|bot|machine|person).*",
        ),
    ),
    (
        Kind.HELP,
        (
            "help(?: me)?(?: please)?",
            "what (?:can|could|do) (?:you|i) (?:do|say|ask)(?: here| for me| now| you)?",
            "how does this work",
            "what now",
            "i need help",
            "what is this",
        ),
    ),
    (
        Kind.REPEAT,
        (
            (
                "(?:can you |could you )?(?:please )?(?:repeat|say)(?: that| it)?(?: again)?(?: "
                "please)?"
            ),
            "what did you (?:just )?say",
            "pardon(?: me)?",
            "come again",
            "what",
        ),
    ),
    (
        Kind.STOP,
        (
            "stop(?: it| that| talking| please)*",
            "be quiet",
            "shut up",
            "quiet",
            "silence",
            "cancel",
        ),
    ),
    (
        Kind.THANKS,
        (
            "(?:many )?thanks(?: a lot| so much| very much)?",
            "thank you(?: very much| so much| a lot)?",
            "cheers",
        ),
    ),
    (
        Kind.GOODBYE,
        (
            "good ?bye(?: for now)?",
            "bye(?: bye| for now|-bye)?",
            "see you(?: later| soon| tomorrow)?",
            "good ?night",
            "farewell",
            "i have to go(?: now)?",
        ),
    ),
    (
        Kind.HELLO,
        (
            "hello",
            "hi",
            "hey",
            "hello again",
            "hi again",
            "(?:hello|hi|hey) there",
            "good (?:morning|afternoon|evening|day)",
            "are you (?:still )?there",
            "can you hear me",
            "i am back",
            "i'm back",
            "test",
        ),
    ),
    (
        Kind.YES,
        (
            "yes",
            "yes please",
            "yeah",
            "yep",
            "yup",
            "sure",
            "of course",
            "certainly",
            "absolutely",
            "do it",
            "go ahead",
            "ok",
            "okay",
            "right",
            "correct",
            "yes (?:do it|forget (?:me|everything|it))",
            "i am sure",
            "i'm sure",
        ),
    ),
    (
        Kind.NO,
        (
            "no",
            "no thanks",
            "no thank you",
            "nope",
            "nah",
            "not now",
            "never",
            "never mind",
            "please don't",
            "don't",
            "do not",
            "no don't",
            "no don't do (?:it|that)",
            "don't do (?:it|that)",
            "rather not",
            "no please",
        ),
    ),
)
