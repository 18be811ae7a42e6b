"""What the rules dialect says in its own words: one row per language, one phrase per occasion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Phrases:
    """The set phrases of one language; {bot} stands for the bot's name."""

    greeting: str
    farewell: str
    thanks: str
    about: str
    nothing_found: str


PHRASES: Final[Mapping[str, Phrases]] = {
    "en": Phrases(
        "Hello! I'm {bot}. What would you like to know?",
        "Goodbye! Come back whenever you have another question.",
        "You're welcome! Is there anything else I can help you with?",
        "I'm {bot}. I answer questions from this site's documents and show where each answer comes from. Just ask!",
        "I'm sorry, I found nothing about that in the documents I have. Could you put the question another way?",
    ),
    "de": Phrases(
        "Hallo! Ich bin {bot}. Was möchten Sie wissen?",
        "Auf Wiedersehen! Kommen Sie gern mit der nächsten Frage wieder.",
        "Gern geschehen! Kann ich sonst noch etwas für Sie tun?",
        "Ich bin {bot}. Ich beantworte Fragen aus den Dokumenten dieser Seite und zeige, woher jede Antwort stammt. "
        "Fragen Sie einfach!",
        "Leider habe ich dazu in meinen Dokumenten nichts gefunden. Können Sie die Frage anders stellen?",
    ),
    "es": Phrases(
        "¡Hola! Soy {bot}. ¿Qué te gustaría saber?",
        "¡Hasta luego! Vuelve cuando tengas otra pregunta.",
        "¡De nada! ¿Puedo ayudarte en algo más?",
        "Soy {bot}. Respondo preguntas a partir de los documentos de este sitio y muestro de dónde viene cada una. "
        "¡Pregunta lo que quieras!",
        "Lo siento, no he encontrado nada sobre eso en mis documentos. ¿Puedes hacer la pregunta de otra manera?",
    ),
    "fr": Phrases(
        "Bonjour ! Je suis {bot}. Que souhaitez-vous savoir ?",
        "Au revoir ! Revenez dès que vous avez une autre question.",
        "Avec plaisir ! Puis-je vous aider pour autre chose ?",
        "Je suis {bot}. Je réponds aux questions à partir des documents de ce site et j'indique toujours la source. "
        "Posez votre question !",
        "Désolé, je n'ai rien trouvé à ce sujet dans mes documents. Pouvez-vous poser la question autrement ?",
    ),
    "it": Phrases(
        "Ciao! Sono {bot}. Che cosa vorresti sapere?",
        "Arrivederci! Torna quando hai un'altra domanda.",
        "Prego! Posso aiutarti con qualcos'altro?",
        "Sono {bot}. Rispondo alle domande con i documenti di questo sito e indico da dove viene ogni risposta. "
        "Chiedi pure!",
        "Mi dispiace, non ho trovato nulla su questo nei miei documenti. Puoi fare la domanda in un altro modo?",
    ),
    "pt": Phrases(
        "Olá! Sou {bot}. O que gostaria de saber?",
        "Até logo! Volte quando tiver outra pergunta.",
        "De nada! Posso ajudar em mais alguma coisa?",
        "Sou {bot}. Respondo a perguntas a partir dos documentos deste site e mostro de onde vem cada resposta. "
        "É só perguntar!",
        "Desculpe, não encontrei nada sobre isso nos meus documentos. Pode fazer a pergunta de outra forma?",
    ),
    "nl": Phrases(
        "Hallo! Ik ben {bot}. Wat wilt u weten?",
        "Tot ziens! Kom gerust terug met een volgende vraag.",
        "Graag gedaan! Kan ik nog iets voor u doen?",
        "Ik ben {bot}. Ik beantwoord vragen uit de documenten van deze site en laat zien waar ze vandaan komen. "
        "Vraag maar!",
        "Helaas heb ik daarover niets gevonden in mijn documenten. Kunt u de vraag anders stellen?",
    ),
}

FALLBACK: Final = "en"


def phrases(language: str) -> Phrases:
    """The phrases for a language tag such as de or pt-BR; English when there are none."""
    return PHRASES.get(language.lower().replace("_", "-").split("-")[0], PHRASES[FALLBACK])
