"""Patterns of French sentences; `understanding` uses them."""

from typing import Final

from demo_models.intents import Kind, Patterns

PATTERNS: Final[Patterns] = (
    (
        Kind.NAME_ASKED,
        (
            (
                "(?:sais-tu |tu sais |dis-moi |te souviens-tu )?(?:comment je m'appelle|comment "
                "est-ce que je m'appelle|qui je suis|quel est mon (?:nom|prenom))"
            ),
            "qui suis-je",
            "comment m'appelle-je",
            (
                "(?:connais-tu|tu connais|te souviens-tu de|tu te souviens de|sais-tu|tu sais) "
                "(?:mon nom|mon prenom|moi)"
            ),
        ),
    ),
    (
        Kind.FACTS_ASKED,
        (
            (
                "qu'est-ce que (?:tu sais|tu retiens|tu as retenu|je t'ai (?:demande|dit)|tu "
                "dois retenir)(?: de retenir)?(?: de moi| sur moi)?"
            ),
            (
                "que (?:sais-tu|retiens-tu|dois-tu retenir|t'ai-je (?:demande|dit))(?: de "
                "retenir)?(?: de moi| sur moi)?"
            ),
            "(?:tu sais|tu retiens) quoi(?: de moi| sur moi)?",
            "de quoi te souviens-tu",
        ),
    ),
    (
        Kind.TOPICS_ASKED,
        (
            (
                "(?:de quoi|qu'est-ce que|de quoi est-ce que) (?:avons-nous|nous avons|on a|"
                r"a-t-on|on|parlions-nous|nous parlions|nous)\b.*"
            ),
            "(?:on a|nous avons) parle de quoi.*",
            "ou en (?:etions-nous|etait-on)",
            "on en etait ou",
        ),
    ),
    (
        Kind.VISITS_ASKED,
        (
            r"combien de (?:fois|visites)\b.*",
            "c'est ma premiere (?:visite|fois).*",
            "est-ce ma premiere (?:visite|fois).*",
        ),
    ),
    (
        Kind.FORGET_ME,
        (
            (
                "(?:peux-tu |tu peux )?(?:oublie-moi|m'oublier|oubliez-moi|(?:oublie|oublier|"
                "efface|effacer|supprime|supprimer) (?:tout|mes donnees|toutes mes donnees|mon "
                "nom)(?: ce que tu sais)?(?: de moi| sur moi)?)(?: s'il te plait)?"
            ),
        ),
    ),
    (
        Kind.FACT_GIVEN,
        (
            (
                "(?:peux-tu |tu peux )?(?:souviens-toi(?: bien)?|retiens(?: bien)?|retenir|"
                "rappelle-toi|n'oublie pas|n'oubliez pas|note(?: bien)?|memorise)(?: ceci| "
                r"cela)?[:,]? ?(?:que |qu'|: )?(?P<fact>\S+ \S.*)"
            ),
        ),
    ),
    (
        Kind.NAME_GIVEN,
        (
            (
                "(?:je m'appelle|moi,? c'est|mon (?:nom|prenom)(?: est|, c'est)|appelle-moi|"
                r"appelez-moi|tu peux m'appeler|on m'appelle) (?P<sure>\S.*)"
            ),
            r"(?:je suis|c'est) (?P<maybe>\S.*)",
        ),
    ),
    (
        Kind.HOW_ARE_YOU,
        (
            "comment (?:ca va|vas-tu|allez-vous|tu vas)",
            "ca va(?: bien)?",
            "tu vas bien",
            "quoi de neuf",
        ),
    ),
    (
        Kind.WHO_ARE_YOU,
        (
            "qui es-tu",
            "tu es qui",
            "qui etes-vous",
            "comment (?:t'appelles-tu|tu t'appelles)",
            "quel est ton (?:nom|prenom)",
            "es-tu (?:un |une )?(?:robot|humain|machine|vrai|vraie).*",
            "qu'es-tu",
        ),
    ),
    (
        Kind.HELP,
        (
            "(?:a l')?aide(?:-moi)?(?: s'il te plait)?",
            "que (?:peux-tu|puis-je|sais-tu) (?:faire|dire)",
            "qu'est-ce que (?:tu peux|tu sais|je peux) (?:faire|dire)",
            "tu peux faire quoi",
            "comment ca marche",
            "c'est quoi",
        ),
    ),
    (
        Kind.REPEAT,
        (
            "repete(?:-le)?(?: s'il te plait)?",
            "(?:peux-tu |tu peux )repeter",
            "encore(?: une fois)?",
            "qu'as-tu dit",
            "pardon",
            "comment",
            "tu as dit quoi",
        ),
    ),
    (
        Kind.STOP,
        (
            "stop",
            "arrete(?:-toi)?",
            "tais-toi",
            "silence",
            "ca suffit",
            "assez",
        ),
    ),
    (
        Kind.THANKS,
        ("merci(?: beaucoup| bien| a toi)?",),
    ),
    (
        Kind.GOODBYE,
        (
            "au revoir",
            "a (?:bientot|plus|plus tard|demain|tout a l'heure)",
            "bonne nuit",
            "bonne (?:soiree|journee)",
            "adieu",
        ),
    ),
    (
        Kind.HELLO,
        (
            "bonjour",
            "bonsoir",
            "salut",
            "coucou",
            "rebonjour",
            "tu m'entends",
            "tu es la",
            "es-tu la",
            "je suis (?:de retour|la)",
        ),
    ),
    (
        Kind.YES,
        (
            "oui",
            "oui s'il te plait",
            "ouais",
            "bien sur",
            "d'accord",
            "certainement",
            "vas-y",
            "absolument",
            "oui vas-y",
            "volontiers",
            "si",
        ),
    ),
    (
        Kind.NO,
        (
            "non",
            "non merci",
            "surtout pas",
            "jamais",
            "plutot pas",
            "pas maintenant",
            "non ne fais pas ca",
        ),
    ),
)
