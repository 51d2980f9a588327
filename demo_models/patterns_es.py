"""Patterns of Spanish sentences; `understanding` uses them."""

from typing import Final

from demo_models.intents import Kind, Patterns

PATTERNS: Final[Patterns] = (
    (
        Kind.NAME_ASKED,
        (
            (
                "(?:sabes |recuerdas |dime |te acuerdas de )?(?:como me llamo(?: yo)?|cual (?:es|"
                "era) mi nombre|quien soy(?: yo)?)"
            ),
            "(?:sabes|recuerdas|dime) mi nombre",
            "(?:me recuerdas|te acuerdas de mi(?: nombre)?|sabes quien soy)",
        ),
    ),
    (
        Kind.FACTS_ASKED,
        (
            "que (?:sabes|recuerdas)(?: de| sobre)?(?: mi)?",
            "que te (?:pedi|dije|he pedido|he dicho)(?: que)?(?: recordar| recordaras| recuerdes)?",
            "de que te acuerdas",
        ),
    ),
    (
        Kind.TOPICS_ASKED,
        (
            r"(?:de|sobre) que (?:hablamos|hemos hablado|estabamos hablando|hablabamos)\b.*",
            r"que (?:dijimos|estaba diciendo|discutimos)\b.*",
            "donde (?:estabamos|nos quedamos)",
            "(?:recuerdas|te acuerdas) de (?:que|lo que) hablamos.*",
        ),
    ),
    (
        Kind.VISITS_ASKED,
        (
            r"(?:cuantas veces|cuantas visitas|con que frecuencia)\b.*",
            "es (?:esta )?mi primera (?:vez|visita).*",
        ),
    ),
    (
        Kind.FORGET_ME,
        (
            (
                "(?:por favor )?(?:puedes |quiero que )?(?:olvidame|olvidate de (?:mi|todo)|"
                "(?:olvida|olvides|olvidar|borra|borres|borrar|elimina)(?:lo)? (?:todo|mis datos|"
                "mi nombre|todos mis datos)(?: lo que sabes)?(?: de mi| sobre mi)?)(?: por "
                "favor)?"
            ),
        ),
    ),
    (
        Kind.FACT_GIVEN,
        (
            (
                "(?:por favor )?(?:puedes |quiero que )?(?:recuerda|recuerdes|recordar|"
                "acuerdate(?: de)?|no olvides|no te olvides(?: de)?|ten en cuenta|apunta|"
                r"anota)(?: esto| por favor)?[:,]?(?: que)? (?P<fact>\S+ \S.*)"
            ),
        ),
    ),
    (
        Kind.NAME_GIVEN,
        (
            r"(?:(?:yo )?me llamo|mi nombre es|llamame|puedes llamarme) (?P<sure>\S.*)",
            r"(?:yo )?soy (?P<maybe>\S.*)",
        ),
    ),
    (
        Kind.HOW_ARE_YOU,
        (
            "como estas",
            "que tal(?: estas)?",
            "como te va",
            "como va todo",
        ),
    ),
    (
        Kind.WHO_ARE_YOU,
        (
            "quien eres(?: tu)?",
            "que eres",
            "como te llamas",
            "cual es tu nombre",
            "eres (?:un |una )?(?:robot|humano|humana|persona|maquina|real).*",
        ),
    ),
    (
        Kind.HELP,
        (
            "ayuda(?:me)?(?: por favor)?",
            "que (?:puedes|sabes|puedo) (?:hacer|decir)",
            "como funciona(?: esto)?",
            "necesito ayuda",
            "que es esto",
        ),
    ),
    (
        Kind.REPEAT,
        (
            "repite(?:lo)?(?: por favor)?",
            "(?:puedes )?repetir(?:lo)?",
            "otra vez",
            "como",
            "que dijiste",
        ),
    ),
    (
        Kind.STOP,
        (
            "para(?: ya)?",
            "basta",
            "callate",
            "silencio",
            "alto",
        ),
    ),
    (
        Kind.THANKS,
        ("(?:muchas |mil )?gracias(?: por todo)?",),
    ),
    (
        Kind.GOODBYE,
        (
            "adios",
            "hasta (?:luego|pronto|manana|la vista)",
            "chao",
            "chau",
            "nos vemos",
            "buenas noches",
        ),
    ),
    (
        Kind.HELLO,
        (
            "hola",
            "buenos dias",
            "buenas(?: tardes)?",
            "hola de nuevo",
            "me oyes",
            "estas ahi",
            "he vuelto",
        ),
    ),
    (
        Kind.YES,
        (
            "si",
            "si por favor",
            "claro(?: que si)?",
            "vale",
            "de acuerdo",
            "por supuesto",
            "hazlo",
            "adelante",
            "seguro",
        ),
    ),
    (
        Kind.NO,
        (
            "no",
            "no gracias",
            "no por favor",
            "mejor no",
            "nunca",
            "para nada",
            "no lo hagas",
        ),
    ),
)
