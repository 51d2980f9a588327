"""Patterns of German sentences; `understanding` uses them."""

from typing import Final

from demo_models.intents import Kind, Patterns

PATTERNS: Final[Patterns] = (
    (
        Kind.NAME_ASKED,
        (
            (
                "(?:wei(?:ß|ss)t du(?: noch)?,? |sag mir,? )?(?:wie (?:hei(?:ß|ss)e ich|ich "
                "hei(?:ß|ss)e)|wer (?:bin ich|ich bin)|wie (?:ist|lautet) mein name|wie mein "
                "name (?:ist|lautet))"
            ),
            "(?:kennst|wei(?:ß|ss)t) du (?:mich|meinen namen)(?: noch)?",
            "erinnerst du dich an (?:mich|meinen namen)",
        ),
    ),
    (
        Kind.FACTS_ASKED,
        (
            (
                "was (?:wei(?:ß|ss)t|hast|merkst|behaltst|kennst) du(?: dir)?(?: noch)?(?: "
                "alles)?(?: uber mich| von mir)?(?: gemerkt)?"
            ),
            "was (?:solltest|sollst) du dir(?: fur mich)?(?: alles)? merken",
            "was (?:habe|hab) ich dir(?: alles)? (?:gesagt|erzahlt|aufgetragen)",
            "woran erinnerst du dich",
        ),
    ),
    (
        Kind.TOPICS_ASKED,
        (
            r"(?:wor|da)uber (?:haben wir|sprachen wir|redeten wir|hatten wir|wir)\b.*",
            r"wovon (?:haben|sprachen|redeten) wir\b.*",
            (
                "was (?:haben wir|hatten wir) (?:zuletzt |eben |gerade )?(?:besprochen|geredet|"
                "gesprochen).*"
            ),
            "wo waren wir(?: stehen ?geblieben)?",
            "worum ging es.*",
        ),
    ),
    (
        Kind.VISITS_ASKED,
        (
            r"wie (?:oft|haufig|viele male)\b.* ich\b.*",
            "(?:bin ich|ist das) .*(?:ersten mal|erstes mal|erster besuch|besuch).*",
            "der wievielte besuch.*",
        ),
    ),
    (
        Kind.FORGET_ME,
        (
            (
                "(?:bitte )?(?:kannst du )?(?:bitte )?(?:vergiss(?: bitte)? (?:mich|alles|meinen "
                "namen|meine daten)|(?:losche?|entferne)(?: bitte)? (?:mich|alles|meine daten|"
                "alle meine daten|alle daten))(?:,? was du)?(?: wei(?:ß|ss)t)?(?: uber mich| von "
                "mir)?(?: wei(?:ß|ss)t)?(?: bitte)?"
            ),
            "(?:kannst du )?(?:mich|alles|meine daten) (?:vergessen|loschen)",
        ),
    ),
    (
        Kind.FACT_GIVEN,
        (
            (
                "(?:bitte )?(?:kannst du |du sollst )?(?:merk(?:e)?(?: dir)?|merken|behalte?|"
                "vergiss nicht|denk(?:e)? daran|erinnere dich(?: daran)?|notiere?|schreib "
                r"auf)(?: bitte| dir| das| fur mich)?[:,]? (?P<fact>\S+ \S.*)"
            ),
        ),
    ),
    (
        Kind.NAME_GIVEN,
        (
            (
                "(?:ich hei(?:ß|ss)e|mein name ist|mein name lautet|nenn(?:e)? mich|man nennt "
                r"mich|du kannst mich) (?P<sure>\S.*?)(?: nennen)?"
            ),
            r"(?:ich bin(?: der| die)?|hier (?:ist|spricht)) (?P<first>\S.*)",
        ),
    ),
    (
        Kind.HOW_ARE_YOU,
        (
            "wie geht es dir",
            "wie geht's(?: dir)?",
            "wie gehts(?: dir)?",
            "alles (?:klar|gut)",
        ),
    ),
    (
        Kind.WHO_ARE_YOU,
        (
            "wer bist du",
            "was bist du",
            "wie hei(?:ß|ss)t du",
            "wie ist dein name",
            "bist du (?:ein |eine )?(?:roboter|mensch|maschine|echt|ki).*",
        ),
    ),
    (
        Kind.HELP,
        (
            "hilfe",
            "hilf mir(?: bitte)?",
            "was (?:kannst|kann) (?:du|ich)(?: hier)?(?: alles)?(?: tun| machen| sagen)?",
            "wie (?:geht|funktioniert) das",
            "was ist das(?: hier)?",
        ),
    ),
    (
        Kind.REPEAT,
        (
            "(?:wiederhole?|wiederhol)(?: das| es)?(?: bitte| noch einmal)*",
            "(?:noch ?(?:ein)?mal)(?: bitte)?",
            "sag das noch ?(?:ein)?mal",
            "was hast du gesagt",
            "wie bitte",
        ),
    ),
    (
        Kind.STOP,
        (
            "stopp?",
            "halt",
            "sei (?:still|ruhig)",
            "ruhe",
            "aufhoren",
            "hor auf",
        ),
    ),
    (
        Kind.THANKS,
        (
            "(?:vielen |besten |herzlichen )?dank",
            "danke(?: schon| sehr| dir)?",
            "dankeschon",
        ),
    ),
    (
        Kind.GOODBYE,
        (
            "tschuss?",
            "auf wiedersehen",
            "auf wiederhoren",
            "bis (?:bald|dann|spater|morgen)",
            "gute nacht",
            "mach's gut",
            "ciao",
            "servus",
        ),
    ),
    (
        Kind.HELLO,
        (
            "hallo",
            "hi",
            "guten (?:tag|morgen|abend)",
            "moin",
            "gru(?:ß|ss) gott",
            "servus",
            "hallo wieder",
            "bist du (?:noch )?da",
            "horst du mich",
            "ich bin (?:wieder )?(?:da|zuruck)",
        ),
    ),
    (
        Kind.YES,
        (
            "ja",
            "ja bitte",
            "jawohl",
            "jep",
            "klar",
            "na klar",
            "naturlich",
            "gern",
            "gerne",
            "sicher",
            "genau",
            "mach das",
            "ja mach das",
        ),
    ),
    (
        Kind.NO,
        (
            "nein",
            "nein danke",
            "nee",
            "ne",
            "no",
            "lieber nicht",
            "auf keinen fall",
            "niemals",
            "nein bitte nicht",
            "bitte nicht",
            "nicht",
        ),
    ),
)
