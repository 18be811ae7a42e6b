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
    confirm: str
    complaint: str
    human: str


PHRASES: Final[Mapping[str, Phrases]] = {
    "en": Phrases(
        "Hello! I'm {bot}. What would you like to know?",
        "Goodbye! Come back whenever you have another question.",
        "You're welcome! Is there anything else I can help you with?",
        "I'm {bot}. I answer questions from this site's documents and show where each answer comes from. Just ask!",
        "I'm sorry, I found nothing about that in the documents I have. Could you put the question another way?",
        "All right! What else would you like to know?",
        "I'm sorry about the trouble. I found nothing about it in the documents I have. Could you tell me more?",
        "I'm {bot}, an AI assistant and not a human. I answer from this site's documents.",
    ),
    "de": Phrases(
        "Hallo! Ich bin {bot}. Was möchten Sie wissen?",
        "Auf Wiedersehen! Kommen Sie gern mit der nächsten Frage wieder.",
        "Gern geschehen! Kann ich sonst noch etwas für Sie tun?",
        "Ich bin {bot}. Ich beantworte Fragen aus den Dokumenten dieser Seite und zeige, woher jede Antwort stammt. "
        "Fragen Sie einfach!",
        "Leider habe ich dazu in meinen Dokumenten nichts gefunden. Können Sie die Frage anders stellen?",
        "In Ordnung! Was möchten Sie noch wissen?",
        "Das tut mir leid. Dazu habe ich in meinen Dokumenten nichts gefunden. Können Sie mir mehr dazu sagen?",
        "Ich bin {bot}, ein KI-Assistent und kein Mensch. Ich antworte aus den Dokumenten dieser Seite.",
    ),
    "es": Phrases(
        "¡Hola! Soy {bot}. ¿Qué te gustaría saber?",
        "¡Hasta luego! Vuelve cuando tengas otra pregunta.",
        "¡De nada! ¿Puedo ayudarte en algo más?",
        "Soy {bot}. Respondo preguntas a partir de los documentos de este sitio y muestro de dónde viene cada una. "
        "¡Pregunta lo que quieras!",
        "Lo siento, no he encontrado nada sobre eso en mis documentos. ¿Puedes hacer la pregunta de otra manera?",
        "¡De acuerdo! ¿Qué más te gustaría saber?",
        "Siento las molestias. No he encontrado nada sobre eso en mis documentos. ¿Puedes contarme más?",
        "Soy {bot}, un asistente de IA y no una persona. Respondo a partir de los documentos de este sitio.",
    ),
    "fr": Phrases(
        "Bonjour ! Je suis {bot}. Que souhaitez-vous savoir ?",
        "Au revoir ! Revenez dès que vous avez une autre question.",
        "Avec plaisir ! Puis-je vous aider pour autre chose ?",
        "Je suis {bot}. Je réponds aux questions à partir des documents de ce site et j'indique toujours la source. "
        "Posez votre question !",
        "Désolé, je n'ai rien trouvé à ce sujet dans mes documents. Pouvez-vous poser la question autrement ?",
        "Très bien ! Que souhaitez-vous savoir d'autre ?",
        "Je suis désolé pour ce désagrément. Je n'ai rien trouvé à ce sujet dans mes documents. Pouvez-vous préciser ?",
        "Je suis {bot}, un assistant IA et non un humain. Je réponds à partir des documents de ce site.",
    ),
    "it": Phrases(
        "Ciao! Sono {bot}. Che cosa vorresti sapere?",
        "Arrivederci! Torna quando hai un'altra domanda.",
        "Prego! Posso aiutarti con qualcos'altro?",
        "Sono {bot}. Rispondo alle domande con i documenti di questo sito e indico da dove viene ogni risposta. "
        "Chiedi pure!",
        "Mi dispiace, non ho trovato nulla su questo nei miei documenti. Puoi fare la domanda in un altro modo?",
        "Va bene! Che cos'altro vorresti sapere?",
        "Mi dispiace per il disagio. Non ho trovato nulla su questo nei miei documenti. Puoi dirmi di più?",
        "Sono {bot}, un assistente IA e non una persona. Rispondo con i documenti di questo sito.",
    ),
    "pt": Phrases(
        "Olá! Sou {bot}. O que gostaria de saber?",
        "Até logo! Volte quando tiver outra pergunta.",
        "De nada! Posso ajudar em mais alguma coisa?",
        "Sou {bot}. Respondo a perguntas a partir dos documentos deste site e mostro de onde vem cada resposta. "
        "É só perguntar!",
        "Desculpe, não encontrei nada sobre isso nos meus documentos. Pode fazer a pergunta de outra forma?",
        "Tudo bem! O que mais gostaria de saber?",
        "Lamento o incómodo. Não encontrei nada sobre isso nos meus documentos. Pode dizer-me mais?",
        "Sou {bot}, um assistente de IA e não uma pessoa. Respondo a partir dos documentos deste site.",
    ),
    "nl": Phrases(
        "Hallo! Ik ben {bot}. Wat wilt u weten?",
        "Tot ziens! Kom gerust terug met een volgende vraag.",
        "Graag gedaan! Kan ik nog iets voor u doen?",
        "Ik ben {bot}. Ik beantwoord vragen uit de documenten van deze site en laat zien waar ze vandaan komen. "
        "Vraag maar!",
        "Helaas heb ik daarover niets gevonden in mijn documenten. Kunt u de vraag anders stellen?",
        "Goed! Wat wilt u nog meer weten?",
        "Vervelend voor u. Ik heb daarover niets gevonden in mijn documenten. Kunt u er meer over vertellen?",
        "Ik ben {bot}, een AI-assistent en geen mens. Ik antwoord uit de documenten van deze site.",
    ),
}

FALLBACK: Final = "en"


def phrases(language: str) -> Phrases:
    """The phrases for a language tag such as de or pt-BR; English when there are none."""
    return PHRASES.get(language.lower().replace("_", "-").split("-")[0], PHRASES[FALLBACK])
