"""The words insight goes by, as tables: one row per language or occasion, nothing but data."""

# ruff: noqa: E501, RUF001 - one row a language, and typographic signs are what people type
from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


STOPWORDS: Final[Mapping[str, frozenset[str]]] = {
    "en": _words(
        "the is are a an to of and how do does what when where which who my can i you for it your this that with not have"
        " in on me we was why would be at or if will am no yes s t wrong right good there here about does did has had get"
    ),
    "de": _words(
        "der die das ist sind und wie ich nicht mein meine meinen kann ein eine einen für mit zu was wo wann warum bitte sie"
        " es auf von im den dem bin habe noch auch wird kostet kosten viel gibt welche welcher welches wer kann können können man"
        " haben eine einer oder aber hier nein ja falsch"
    ),
    "es": _words(
        "el la los las que cómo como es mi puedo una un para por qué con no de en del dónde cuándo cuánto está tengo quiero"
        " me se su hay funciona cuesta"
    ),
    "fr": _words(
        "le la les est et comment je mon ma puis une un pour que dans vous de des du où quand quel quelle pas ne avec sur"
        " suis ce mes combien coûte"
    ),
    "it": _words(
        "il lo la gli che è come mio mia posso una un per con sono di del della dove quando quanto non ho mi si nel sul"
        " perché cosa i le costa"
    ),
    "pt": _words(
        "o a os as que é como meu minha posso uma um para com não você de do da onde quando quanto estou tenho quero em no"
        " na por eu custa"
    ),
}
"""The commonest short words: enough to tell six languages apart in one line of chat."""

LETTERS: Final[Mapping[str, str]] = {"ß": "de", "ä": "de", "ü": "de", "ñ": "es", "¿": "es", "¡": "es", "ã": "pt", "õ": "pt", "œ": "fr", "ì": "it", "ò": "it"}  # fmt: skip

SCRIPTS: Final[tuple[tuple[int, int, str], ...]] = (
    (0x3040, 0x30FF, "ja"),
    (0xAC00, 0xD7AF, "ko"),
    (0x4E00, 0x9FFF, "zh"),
    (0x0400, 0x04FF, "ru"),
    (0x0600, 0x06FF, "ar"),
    (0x0370, 0x03FF, "el"),
    (0x0590, 0x05FF, "he"),
    (0x0E00, 0x0E7F, "th"),
    (0x0900, 0x097F, "hi"),
)
"""First and last code point of a script and the language we take it for."""

SOCIAL: Final[Mapping[str, Mapping[str, str]]] = {
    "greeting": {
        "en": "hello|hi|hey|hiya|howdy|good morning|good afternoon|good evening|greetings|how are you",
        "de": "hallo|guten morgen|guten tag|guten abend|servus|moin|grüß gott|wie geht es dir|wie geht s",
        "es": "hola|buenos días|buenos dias|buenas tardes|buenas noches|buenas|qué tal|que tal",
        "fr": "bonjour|bonsoir|salut|coucou|ça va|comment ça va",
        "it": "salve|buongiorno|buonasera|buon giorno|come va|come stai",
        "pt": "olá|ola|oi|bom dia|boa tarde|boa noite|tudo bem",
    },
    "farewell": {
        "en": "bye|goodbye|good bye|bye bye|see you|see you later|see ya|farewell|good night|take care|that s all",
        "de": "tschüss|tschüs|tschuess|auf wiedersehen|bis bald|bis später|gute nacht|das war s",
        "es": "adiós|adios|hasta luego|hasta pronto|hasta mañana|chao|nos vemos",
        "fr": "au revoir|à bientôt|a bientot|bonne nuit|bonne journée|à plus|adieu",
        "it": "arrivederci|addio|a presto|buonanotte|buona notte|ciao ciao",
        "pt": "tchau|adeus|até logo|até mais|até breve|até amanhã",
    },
    "thanks": {
        "en": "thank you|thanks|thank u|thx|ty|cheers|much appreciated|thanks a lot|many thanks",
        "de": "danke|danke schön|dankeschön|vielen dank|besten dank|herzlichen dank|danke sehr",
        "es": "gracias|muchas gracias|mil gracias",
        "fr": "merci|merci beaucoup|merci bien",
        "it": "grazie|grazie mille|molte grazie|ti ringrazio",
        "pt": "obrigado|obrigada|muito obrigado|muito obrigada|valeu",
    },
    "confirm": {
        "en": "yes|yeah|yep|yup|sure|ok|okay|correct|exactly|right|of course|sounds good|go ahead|please do|great|perfect",
        "de": "ja|jawohl|genau|richtig|stimmt|klar|gerne|natürlich|in ordnung|passt",
        "es": "sí|si|claro|vale|correcto|exacto|de acuerdo|por supuesto",
        "fr": "oui|ouais|d accord|exact|exactement|bien sûr|parfait",
        "it": "sì|certo|va bene|esatto|giusto|d accordo|perfetto",
        "pt": "sim|claro|certo|exato|isso|está bem|com certeza|perfeito",
    },
}
"""What people say to be polite, by intent and language; `ciao` is a greeting unless it stands twice."""

EITHER_WAY: Final = "ciao"

FILLERS: Final = _words(
    "there you very much so a lot again all everyone team bot sir madam please help for your the everything friend"
    " sehr dir ihnen euch schön viele bitte zusammen mucho muchas por todo usted vous beaucoup bien tout le monde à tous"
    " mille tante a tutti per tutto muito por tudo vocês and und y et e"
)
"""Words that may stand beside a polite phrase without making it a question."""

EXPLANATION: Final = (
    r"\bhow (do|does|can|could|should|would|to|is|are)\b(?! (long|much|many|old|you)\b)|\bexplain\b|\bwalk me through\b"
    r"|\bshow me how\b|\bstep[- ]by[- ]step\b|\bwhat (are|is) the (steps|process|procedure)\b|\btell me (more )?about\b"
    r"|\bsteps (to|for)\b|\bguide me\b|\binstructions\b"
    r"|\bwie (kann|muss|soll|mache?|geht|funktioniert|bekomme|lässt|stelle|werde|melde|ändere|kündige)\b|\berklär"
    r"|\bschritt für schritt\b|\bcómo (puedo|se|hago|funciona|debo|cancelo|cambio|obtengo)\b|\bexplíca|\bexplica(me|r)?\b"
    r"|\bpaso a paso\b|\bcomment (puis|faire|dois|fonctionne|est-ce|on|obtenir|annuler|changer|je|ça)\b"
    r"|\bexpliqu(e|er|ez)\b|\bétape par étape\b|\bcome (posso|si|faccio|funziona|devo|fare)\b|\bspiega(mi|re)?\b"
    r"|\bpasso (dopo|a) passo\b|\bcomo (posso|faço|se|funciona|devo|fazer|cancelo|altero)\b|\bexpli(que|car|ca)\b"
)

QUESTION: Final = (
    r"^(and |but |so )?(what|when|where|which|who|whose|why|how|can|could|do|does|did|is|are|am|was|were|will|would|should"
    r"|may|has|have|tell me|i(?: would|'d)? (?:like|want|need) to know)\b"
    r"|^(und |aber )?(was|wann|wo|woher|wohin|welche[rsn]?|wer|warum|wieso|wie|kann|können|ist|sind|gibt|hat|haben|muss|darf)\b"
    r"|^(y |pero )?(qué|cuándo|dónde|cuál(es)?|quién|por qué|cómo|cuánt[oa]s?|puedo|puede|hay|es|está|tienen)\b"
    r"|^(et |mais )?(que|quoi|quand|où|quel(le)?s?|qui|pourquoi|comment|combien|est-ce|puis-je|peut-on|y a-t-il|avez)\b"
    r"|^(e |ma )?(che|cosa|quando|dove|quale|quali|chi|perché|come|quanto|posso|c'è|avete|è)\b"
    r"|^(e |mas )?(o que|quando|onde|qual|quais|quem|por que|como|quanto|posso|há|tem|vocês)\b"
)

COMPLAINT_STRONG: Final = (
    r"\b(terrible|awful|horrible|worst|unacceptable|ridiculous|disgusting|disgrace\w*|useless|pathetic|scam|rip-?off|furious"
    r"|angry|outrageous|outraged|fed up|disappoint(ed|ing|ment)|frustrat(ed|ing)|annoyed|annoying|waste of|appalling"
    r"|incompetent|sick of|i hate|nonsense|joke of a)\b|\b(i want|i wish|i('d| would) like) to (make a |file a )?complain"
    r"|\bgreat, another\b|\bjust what i needed\b"
    r"|\b(schrecklich|furchtbar|unverschämt\w*|inakzeptabel|enttäusch\w*|wütend|sauer|ärgerlich|frechheit|unzumutbar|skandal)\b"
    r"|\b(terrible|horrible|pésim[oa]|inaceptable|ridículo|decepcionad[oa]|enfadad[oa]|furios[oa]|vergüenza|estafa)\b"
    r"|\b(inacceptable|scandaleux|honteux|déçue?|décevant|furieux|furieuse|en colère|nulle?s?\b.{0,12}service|arnaque)\b"
    r"|\b(inaccettabile|pessim[oa]|terribile|delus[oa]|arrabbiat[oa]|furios[oa]|vergognos[oa]|truffa)\b"
    r"|\b(inaceitável|péssim[oa]|terrível|horrível|decepcionad[oa]|chatead[oa]|furios[oa]|vergonha|golpe)\b"
)

COMPLAINT_WEAK: Final = (
    r"\b(does|do|is|did|are|was|has|have|would|still)(n't|n’t| not) (\w+ )?(work|working|worked|arrive|arrived|come|help|function)"
    r"|\bstill (waiting|not|no|broken|haven't|missing)\b|\bnever (arrived|received|came|got|worked|answers?)\b"
    r"|\bnot working\b|\b(is|was|came|arrived) (broken|damaged|late)\b|\bkeeps? (crashing|failing|breaking)\b|\bnobody (answers|helps)\b"
    r"|\bfunktioniert (immer noch )?nicht\b|\bgeht (immer noch )?nicht\b|\bimmer noch (nicht|kein)|\bnie (angekommen|erhalten)\b|\bkaputt\b"
    r"|\bno funciona\b|\btodavía no\b|\bnunca (llegó|recibí)\b|\bestá rot[oa]\b"
    r"|\bne (marche|fonctionne) (toujours )?pas\b|\btoujours pas\b|\bjamais (reçu|arrivé)\b|\bcassée?\b"
    r"|\bnon funziona\b|\bancora non\b|\bmai (arrivat[oa]|ricevut[oa])\b|\brott[oa]\b"
    r"|\bnão (está )?funciona(ndo)?\b|\bainda não\b|\bnunca (chegou|recebi)\b|\bquebrad[oa]\b"
)

URGENT: Final = (
    r"\b(urgent(ly)?|asap|immediately|right (now|away)|emergency|as soon as possible|hacked|stolen|dringend|sofort|notfall"
    r"|gestohlen|urgente(mente)?|inmediatamente|ahora mismo|emergencia|robad[oa]|d'urgence|immédiatement|urgence|volée?"
    r"|subito|immediatamente|emergenza|rubat[oa]|imediatamente|agora mesmo|emergência|roubad[oa])\b|!!!"
)

NOT_FEELINGS: Final = _words(
    "please help helps helped helping helpful like want wants wanted credit credits number free interest interests benefit"
    " benefits reward rewards rewarding increase increased top safe secure secured security support supports supported accept"
    " accepts accepted accepting approve approved approval share shares shared friend friends party number save saved saves"
    " saving savings true yes play playing pay paid clear clean original special recommend recommended beneficiary swift"
    " definitely certain certainly sure holiday holidays wells united amazon kind care ease easy easily value values valued"
    " active actively agree agreement assets balance balanced bonus chance chances comprehensive confirm confirmed natural"
    " determine effective efficient ensure ensured entitled favor favorite fine fit gain gains gift gifts grant granted"
    " growth guarantee guaranteed healthy hopefully important improve improved improvement interested legal matter matters"
    " ok okay alright opportunity opportunities please positive premium prepared privacy profit promote promotion protect"
    " protected protection proper properly ready resolve resolved responsible reward satisfy satisfied significant smart"
    " solution solutions solve solved successful successfully success trust trusted useful validate verified virtue warm"
    " welcome winner win won worth create created creative energy engage excel faith feature fun funny joke jokes enjoy"
    " wish wishes hope hoping respect sincerely thank thanks dear best better good pretty nice well strong top promise"
    " party hero peace heaven gold interesting appreciate freedom sunshine"
) - _words("thank thanks welcome appreciate enjoy nice fun best good better winner won success successful satisfied")
"""Words VADER takes for joy that in a service desk say nothing about anybody's mood."""

WORK_WORDS: Final = _words(
    "kill kills killed killing cancel cancels cancelled canceled cancelling canceling cancellation error errors fraud"
    " fraudulent critical criticism refund lost lose losing loss losses stolen steal stole theft dispute disputes disputed"
    " fail fails failed failing failure failures problem problems issue issues wrong wrongly reject rejected rejects"
    " rejection decline declined declines deny denied denies block blocks blocked blocking missing miss missed damage damaged"
    " damages stop stops stopped stopping charge charged charges fee fees penalty penalties debt debts owe owed overdraft"
    " warning warn alert emergency dead death die died dies expired expire abort aborted break breaks broke broken broken"
    " defect defective defects fault faulty freeze frozen hack hacked limit limited limitation limitations lowest low lower"
    " demand demands delay delayed delays difficult difficulty disappear disappeared mistake mistakes trouble troubles no"
    " unsuccessful unsupported invalid illegal violation violate cut cuts risk risks risky exclude excluded drop dropped"
    " leave leaves leaving remove removed bomb war weapon shoot attack attacks attacked virus terminate terminated crash"
    " crashed crashes suspended suspicious suspect unauthorized unknown alone cancer sick pain injury ill disease poor"
    " tax taxes insufficient bad crime criminal victim guilty arrest complaint complaints complain refuse refused argue"
    " conflict contradict infected infection injured accident hurt emergencies severe serious seriously sin tank tear fire"
    " fired burn burned burns hell ignore ignored lack lacking mess messed negative neglect odd pressure prevent prevented"
    " prison restrict restricted sorry strange struggle struggling stuck tired trap unable uncertain useless"
    " vulnerable waste wasted weak weird worry worried unfortunately forget forgot forgotten confused confusing hard"
) - _words("sick useless sorry worried worry hurt alone tired unfortunately poor waste wasted struggling")
"""What a service desk is about: neutral in a plain sentence, a feeling once the sentence itself is heated."""

HEATED: Final = (
    r"!|\b[A-Z]{4,}\b.*\b[A-Z]{4,}\b|\b(hate|love|terrible|awful|horrible|worst|angry|furious|amazing|wonderful|fantastic"
    r"|excellent|brilliant|disgusting|ridiculous|unacceptable|fed up|disappointed|frustrated|annoyed|so (happy|sad|glad|upset)"
    r"|i(?:'m| am| feel) (?:so |very |really )?(?:happy|sad|glad|upset|angry|mad|scared|afraid|unhappy|delighted|pleased))\b"
)
"""Signs that somebody speaks from the heart, so that the words of work count as feelings too."""

FOLLOW_UP: Final = (
    r"^\W*(and|but|or|also|then|what about|how about|why|und|aber|oder|auch|dann|warum|wieso|y|pero|también|entonces|por qué|et"
    r"|mais|ou|aussi|alors|pourquoi|e|ma|anche|allora|perché|mas|também|então|por quê)\b"
    r"|\b(it|that|this|those|these|they|them|there|das|dies|dort|davon|eso|esto|ese|allí|ça|cela|celui|quello|questo|lì|isso"
    r"|isto|aquilo)\b"
)
"""Signs that a short message leans on the one before it."""

SARCASM: Final = (
    r"\b(great|wonderful|fantastic|perfect|brilliant|lovely|nice|awesome|thanks)\b[,.!]? (?:\w+ ){0,2}?"
    r"(another|again|for nothing|as usual)\b|\bjust what i (needed|wanted)\b|\bthanks a lot for (nothing|the)\b"
    r"|\b(great|lovely|nice) job (breaking|losing|ignoring|charging)\b"
)

BAD_NEWS: Final = (
    r"\b(unfortunately|regret(tably)?|sorry|cannot|can't|unable|not possible|isn't possible|declined|denied|rejected|stolen|fraud"
    r"|lost|died|death|accident|emergency|hacked|no longer|not (?:available|eligible|covered|refundable)|expired|leider|helaas|desculpe|bedauer\w*"
    r"|nicht möglich|gestohlen|lamentablemente|desafortunadamente|lo siento|no es posible|robad[oa]|malheureusement|désolée?"
    r"|pas possible|volée?|purtroppo|mi dispiace|non è possibile|rubat[oa]|infelizmente|lamento|não é possível|roubad[oa])\b"
)
"""Nobody smiles at these, whatever else the sentence says."""

NOT_KNOWN: Final = (
    r"\b(i (do not|don't|don’t) know|i (could not|couldn't|couldn’t|can't|can’t|cannot|did not|didn't) find|not sure"
    r"|(i )?found nothing|no information|nothing (about|on) (this|that)|i'm not able to|weiß ich nicht|nichts (dazu )?gefunden|niets gevonden|weet ik niet|keine (information|angaben)"
    r"|no lo sé|no (he encontrado|encuentro|encontré)|je ne sais pas|je n'ai (pas|rien) trouvé|non lo so|non ho trovato"
    r"|não sei|não encontrei)\b"
)

SOLVED: Final = (
    r"\b(all set|done|solved|fixed|resolved|it works|that's it|erledigt|gelöst|listo|resuelto|c'est fait|résolu|fatto|risolto"
    r"|pronto|resolvido)\b"
)

AGREED: Final = (
    r"^(yes|sure|of course|certainly|absolutely|definitely|ja|natürlich|gerne|klar|sí|claro|por supuesto|oui|bien sûr"
    r"|certainement|sì|certo|certamente|sim|com certeza)\b"
)

FEELINGS: Final[Mapping[str, tuple[str, str]]] = {
    "de": (
        "danke toll super freue freut gerne perfekt wunderbar großartig prima schön glücklich zufrieden klasse liebe",
        "schlecht schrecklich furchtbar wütend traurig enttäuscht leider ärgerlich sauer hasse katastrophe unverschämt schlimm",
    ),
    "es": (
        "gracias genial perfecto excelente encanta feliz contento contenta maravilloso estupendo alegro bueno amo",
        "mal malo terrible horrible triste enfadado enfadada decepcionado decepcionada odio pésimo lamentablemente siento",
    ),
    "fr": (
        "merci génial parfait excellent adore heureux heureuse ravi ravie super magnifique content contente bravo",
        "mauvais terrible horrible triste déçu déçue déteste furieux furieuse malheureusement désolé désolée nul scandaleux",
    ),
    "it": (
        "grazie ottimo perfetto eccellente adoro felice contento contenta magnifico bravo fantastico piacere lieto",
        "male terribile orribile triste deluso delusa odio arrabbiato arrabbiata purtroppo dispiace pessimo vergognoso",
    ),
    "pt": (
        "obrigado obrigada ótimo perfeito excelente adoro feliz contente maravilhoso legal prazer amei parabéns",
        "mal terrível horrível triste decepcionado decepcionada odeio infelizmente lamento péssimo péssima raiva chateado",
    ),
}
"""Words of joy and of sorrow where VADER knows no language but English."""

FEELING_FRAGMENTS: Final[Mapping[str, tuple[str, str]]] = {
    "ja": ("ありがとう 嬉しい 素晴らしい", "残念 申し訳 最悪 悲しい 怒"),
    "zh": ("谢谢 感谢 太好了 开心", "抱歉 遗憾 糟糕 生气 失望"),
}
"""The same for languages written without spaces, found anywhere in the text."""

EMOJI_JOY: Final = "😀😃😄😁😊🙂😍🥰😘👍❤💚💙🎉🙏🤩😂🥳👏"
EMOJI_SORROW: Final = "😠😡😢😭👎💔😞😤🤬😔🙁☹😩😒"
