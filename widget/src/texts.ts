/** Every word of the interface, by language. A language is one row; tsc wants it whole. */

export interface Texts {
  readonly dir: "ltr" | "rtl";
  readonly dialog: (bot: string) => string;
  readonly ai: string;
  readonly close: string;
  readonly newConversation: string;
  readonly pauseAvatar: string;
  readonly playAvatar: string;
  readonly avatar: (bot: string) => string;
  readonly transcript: string;
  readonly placeholder: string;
  readonly message: string;
  readonly send: string;
  readonly stop: string;
  readonly suggestions: string;
  readonly sources: string;
  readonly source: (n: number, title: string) => string;
  readonly openSource: string;
  readonly copy: string;
  readonly copied: string;
  readonly regenerate: string;
  readonly good: string;
  readonly bad: string;
  readonly retry: string;
  readonly discard: string;
  readonly queued: string;
  readonly stopped: string;
  readonly cutShort: string;
  readonly thinking: string;
  readonly stillThinking: string;
  readonly connecting: string;
  readonly offline: string;
  readonly noNetwork: string;
  readonly ended: string;
  readonly reconnectNow: string;
  readonly older: string;
  readonly newMessages: string;
  readonly youSaid: string;
  readonly botSaid: (bot: string) => string;
  readonly disclosure: string;
  readonly tooLong: (most: number) => string;
  /** Text per error code; `other` for every code without its own. */
  readonly errors: {
    readonly rate_limited: string;
    readonly too_long: string;
    readonly busy: string;
    readonly budget_exceeded: string;
    readonly no_provider: string;
    readonly interrupted: string;
    readonly origin_not_allowed: string;
    readonly bot_unknown: string;
    readonly connection_limit: string;
    readonly other: string;
  };
}

const en: Texts = {
  dir: "ltr",
  dialog: (bot) => `Chat with ${bot}`,
  ai: "AI assistant",
  close: "Close chat",
  newConversation: "New conversation",
  pauseAvatar: "Pause animation",
  playAvatar: "Play animation",
  avatar: (bot) => `${bot}, an animated assistant`,
  transcript: "Conversation",
  placeholder: "Ask a question\u2026",
  message: "Your message",
  send: "Send",
  stop: "Stop answering",
  suggestions: "Suggestions",
  sources: "Sources",
  source: (n, title) => `Source ${n}: ${title}`,
  openSource: "Open source",
  copy: "Copy",
  copied: "Copied",
  regenerate: "Answer again",
  good: "Good answer",
  bad: "Bad answer",
  retry: "Try again",
  discard: "Discard",
  queued: "Waiting\u2026",
  stopped: "Stopped",
  cutShort: "This answer was cut short.",
  thinking: "Thinking",
  stillThinking: "Still working on it\u2026",
  connecting: "Connecting\u2026",
  offline: "Connection lost. Trying again\u2026",
  noNetwork: "You are offline",
  ended: "The chat has ended.",
  reconnectNow: "Reconnect",
  older: "Earlier messages",
  newMessages: "New messages",
  youSaid: "You said:",
  botSaid: (bot) => `${bot} said:`,
  disclosure: "Answers come from an AI and can be wrong.",
  tooLong: (most) => `At most ${most} characters.`,
  errors: {
    rate_limited: "That was a lot of messages. Please wait a moment.",
    too_long: "This message is too long.",
    busy: "Please wait for the answer first.",
    budget_exceeded: "The assistant is not available right now.",
    no_provider: "The assistant cannot answer right now.",
    interrupted: "The answer was interrupted.",
    origin_not_allowed: "This chat is not available on this site.",
    bot_unknown: "This chat does not exist any more.",
    connection_limit: "The chat is open in too many places.",
    other: "Something went wrong.",
  },
};

const de: Texts = {
  dir: "ltr",
  dialog: (bot) => `Chat mit ${bot}`,
  ai: "KI-Assistent",
  close: "Chat schlie\u00dfen",
  newConversation: "Neue Unterhaltung",
  pauseAvatar: "Animation anhalten",
  playAvatar: "Animation abspielen",
  avatar: (bot) => `${bot}, animierte Assistenz`,
  transcript: "Unterhaltung",
  placeholder: "Stellen Sie eine Frage\u2026",
  message: "Ihre Nachricht",
  send: "Senden",
  stop: "Antwort stoppen",
  suggestions: "Vorschl\u00e4ge",
  sources: "Quellen",
  source: (n, title) => `Quelle ${n}: ${title}`,
  openSource: "Quelle \u00f6ffnen",
  copy: "Kopieren",
  copied: "Kopiert",
  regenerate: "Neu antworten",
  good: "Gute Antwort",
  bad: "Schlechte Antwort",
  retry: "Erneut versuchen",
  discard: "Verwerfen",
  queued: "Wartet\u2026",
  stopped: "Gestoppt",
  cutShort: "Diese Antwort wurde abgeschnitten.",
  thinking: "Denkt nach",
  stillThinking: "Einen Moment noch\u2026",
  connecting: "Verbindung wird aufgebaut\u2026",
  offline: "Verbindung verloren. Neuer Versuch\u2026",
  noNetwork: "Sie sind offline",
  ended: "Der Chat ist beendet.",
  reconnectNow: "Neu verbinden",
  older: "Fr\u00fchere Nachrichten",
  newMessages: "Neue Nachrichten",
  youSaid: "Sie:",
  botSaid: (bot) => `${bot}:`,
  disclosure: "Antworten stammen von einer KI und k\u00f6nnen falsch sein.",
  tooLong: (most) => `H\u00f6chstens ${most} Zeichen.`,
  errors: {
    rate_limited: "Das waren viele Nachrichten. Bitte kurz warten.",
    too_long: "Diese Nachricht ist zu lang.",
    busy: "Bitte warten Sie die Antwort ab.",
    budget_exceeded: "Der Assistent ist gerade nicht verf\u00fcgbar.",
    no_provider: "Der Assistent kann gerade nicht antworten.",
    interrupted: "Die Antwort wurde unterbrochen.",
    origin_not_allowed: "Dieser Chat ist auf dieser Seite nicht verf\u00fcgbar.",
    bot_unknown: "Diesen Chat gibt es nicht mehr.",
    connection_limit: "Der Chat ist an zu vielen Stellen ge\u00f6ffnet.",
    other: "Etwas ist schiefgegangen.",
  },
};

const es: Texts = {
  dir: "ltr",
  dialog: (bot) => `Chat con ${bot}`,
  ai: "Asistente de IA",
  close: "Cerrar el chat",
  newConversation: "Nueva conversaci\u00f3n",
  pauseAvatar: "Pausar la animaci\u00f3n",
  playAvatar: "Reanudar la animaci\u00f3n",
  avatar: (bot) => `${bot}, asistente animado`,
  transcript: "Conversaci\u00f3n",
  placeholder: "Haga una pregunta\u2026",
  message: "Su mensaje",
  send: "Enviar",
  stop: "Detener la respuesta",
  suggestions: "Sugerencias",
  sources: "Fuentes",
  source: (n, title) => `Fuente ${n}: ${title}`,
  openSource: "Abrir la fuente",
  copy: "Copiar",
  copied: "Copiado",
  regenerate: "Responder de nuevo",
  good: "Buena respuesta",
  bad: "Mala respuesta",
  retry: "Reintentar",
  discard: "Descartar",
  queued: "En espera\u2026",
  stopped: "Detenido",
  cutShort: "Esta respuesta qued\u00f3 incompleta.",
  thinking: "Pensando",
  stillThinking: "Un momento m\u00e1s\u2026",
  connecting: "Conectando\u2026",
  offline: "Conexi\u00f3n perdida. Reintentando\u2026",
  noNetwork: "Sin conexi\u00f3n a internet",
  ended: "El chat ha terminado.",
  reconnectNow: "Reconectar",
  older: "Mensajes anteriores",
  newMessages: "Mensajes nuevos",
  youSaid: "Usted:",
  botSaid: (bot) => `${bot}:`,
  disclosure: "Las respuestas son de una IA y pueden contener errores.",
  tooLong: (most) => `M\u00e1ximo ${most} caracteres.`,
  errors: {
    rate_limited: "Son muchos mensajes. Espere un momento, por favor.",
    too_long: "El mensaje es demasiado largo.",
    busy: "Espere primero la respuesta, por favor.",
    budget_exceeded: "El asistente no est\u00e1 disponible ahora.",
    no_provider: "El asistente no puede responder ahora.",
    interrupted: "La respuesta se interrumpi\u00f3.",
    origin_not_allowed: "Este chat no est\u00e1 disponible en este sitio.",
    bot_unknown: "Este chat ya no existe.",
    connection_limit: "El chat est\u00e1 abierto en demasiados lugares.",
    other: "Algo ha fallado.",
  },
};

const fr: Texts = {
  dir: "ltr",
  dialog: (bot) => `Discussion avec ${bot}`,
  ai: "Assistant IA",
  close: "Fermer la discussion",
  newConversation: "Nouvelle conversation",
  pauseAvatar: "Mettre l\u2019animation en pause",
  playAvatar: "Reprendre l\u2019animation",
  avatar: (bot) => `${bot}, assistant anim\u00e9`,
  transcript: "Conversation",
  placeholder: "Posez une question\u2026",
  message: "Votre message",
  send: "Envoyer",
  stop: "Arr\u00eater la r\u00e9ponse",
  suggestions: "Suggestions",
  sources: "Sources",
  source: (n, title) => `Source ${n} : ${title}`,
  openSource: "Ouvrir la source",
  copy: "Copier",
  copied: "Copi\u00e9",
  regenerate: "R\u00e9pondre \u00e0 nouveau",
  good: "Bonne r\u00e9ponse",
  bad: "Mauvaise r\u00e9ponse",
  retry: "R\u00e9essayer",
  discard: "Abandonner",
  queued: "En attente\u2026",
  stopped: "Arr\u00eat\u00e9",
  cutShort: "Cette r\u00e9ponse a \u00e9t\u00e9 coup\u00e9e.",
  thinking: "R\u00e9flexion en cours",
  stillThinking: "Encore un instant\u2026",
  connecting: "Connexion\u2026",
  offline: "Connexion perdue. Nouvel essai\u2026",
  noNetwork: "Vous \u00eates hors ligne",
  ended: "La discussion est termin\u00e9e.",
  reconnectNow: "Se reconnecter",
  older: "Messages pr\u00e9c\u00e9dents",
  newMessages: "Nouveaux messages",
  youSaid: "Vous :",
  botSaid: (bot) => `${bot} :`,
  disclosure: "Les r\u00e9ponses viennent d\u2019une IA et peuvent \u00eatre fausses.",
  tooLong: (most) => `${most} caract\u00e8res au plus.`,
  errors: {
    rate_limited: "Cela fait beaucoup de messages. Patientez un instant.",
    too_long: "Ce message est trop long.",
    busy: "Attendez d\u2019abord la r\u00e9ponse, s\u2019il vous pla\u00eet.",
    budget_exceeded: "L\u2019assistant n\u2019est pas disponible pour le moment.",
    no_provider: "L\u2019assistant ne peut pas r\u00e9pondre pour le moment.",
    interrupted: "La r\u00e9ponse a \u00e9t\u00e9 interrompue.",
    origin_not_allowed: "Cette discussion n\u2019est pas disponible sur ce site.",
    bot_unknown: "Cette discussion n\u2019existe plus.",
    connection_limit: "La discussion est ouverte en trop d\u2019endroits.",
    other: "Une erreur s\u2019est produite.",
  },
};

const ar: Texts = {
  dir: "rtl",
  dialog: (bot) => `\u0645\u062d\u0627\u062f\u062b\u0629 \u0645\u0639 ${bot}`,
  ai: "\u0645\u0633\u0627\u0639\u062f \u0630\u0643\u064a",
  close: "\u0625\u063a\u0644\u0627\u0642 \u0627\u0644\u0645\u062d\u0627\u062f\u062b\u0629",
  newConversation: "\u0645\u062d\u0627\u062f\u062b\u0629 \u062c\u062f\u064a\u062f\u0629",
  pauseAvatar: "\u0625\u064a\u0642\u0627\u0641 \u0627\u0644\u062d\u0631\u0643\u0629",
  playAvatar: "\u062a\u0634\u063a\u064a\u0644 \u0627\u0644\u062d\u0631\u0643\u0629",
  avatar: (bot) => `${bot}\u060c \u0645\u0633\u0627\u0639\u062f \u0645\u062a\u062d\u0631\u0643`,
  transcript: "\u0627\u0644\u0645\u062d\u0627\u062f\u062b\u0629",
  placeholder: "\u0627\u0637\u0631\u062d \u0633\u0624\u0627\u0644\u0627\u064b\u2026",
  message: "\u0631\u0633\u0627\u0644\u062a\u0643",
  send: "\u0625\u0631\u0633\u0627\u0644",
  stop: "\u0625\u064a\u0642\u0627\u0641 \u0627\u0644\u0625\u062c\u0627\u0628\u0629",
  suggestions: "\u0627\u0642\u062a\u0631\u0627\u062d\u0627\u062a",
  sources: "\u0627\u0644\u0645\u0635\u0627\u062f\u0631",
  source: (n, title) => `\u0627\u0644\u0645\u0635\u062f\u0631 ${n}: ${title}`,
  openSource: "\u0641\u062a\u062d \u0627\u0644\u0645\u0635\u062f\u0631",
  copy: "\u0646\u0633\u062e",
  copied: "\u062a\u0645 \u0627\u0644\u0646\u0633\u062e",
  regenerate: "\u0625\u0639\u0627\u062f\u0629 \u0627\u0644\u0625\u062c\u0627\u0628\u0629",
  good: "\u0625\u062c\u0627\u0628\u0629 \u062c\u064a\u062f\u0629",
  bad: "\u0625\u062c\u0627\u0628\u0629 \u0633\u064a\u0626\u0629",
  retry: "\u0625\u0639\u0627\u062f\u0629 \u0627\u0644\u0645\u062d\u0627\u0648\u0644\u0629",
  discard: "\u062d\u0630\u0641",
  queued: "\u0641\u064a \u0627\u0644\u0627\u0646\u062a\u0638\u0627\u0631\u2026",
  stopped: "\u0645\u062a\u0648\u0642\u0641",
  cutShort:
    "\u0644\u0645 \u062a\u0643\u062a\u0645\u0644 \u0647\u0630\u0647 \u0627\u0644\u0625\u062c\u0627\u0628\u0629.",
  thinking: "\u064a\u0641\u0643\u0631",
  stillThinking: "\u0644\u062d\u0638\u0629 \u0645\u0646 \u0641\u0636\u0644\u0643\u2026",
  connecting: "\u062c\u0627\u0631\u064d \u0627\u0644\u0627\u062a\u0635\u0627\u0644\u2026",
  offline:
    "\u0627\u0646\u0642\u0637\u0639 \u0627\u0644\u0627\u062a\u0635\u0627\u0644. \u0625\u0639\u0627\u062f\u0629 \u0627\u0644\u0645\u062d\u0627\u0648\u0644\u0629\u2026",
  noNetwork: "\u0623\u0646\u062a \u063a\u064a\u0631 \u0645\u062a\u0635\u0644",
  ended: "\u0627\u0646\u062a\u0647\u062a \u0627\u0644\u0645\u062d\u0627\u062f\u062b\u0629.",
  reconnectNow: "\u0625\u0639\u0627\u062f\u0629 \u0627\u0644\u0627\u062a\u0635\u0627\u0644",
  older: "\u0631\u0633\u0627\u0626\u0644 \u0633\u0627\u0628\u0642\u0629",
  newMessages: "\u0631\u0633\u0627\u0626\u0644 \u062c\u062f\u064a\u062f\u0629",
  youSaid: "\u0623\u0646\u062a:",
  botSaid: (bot) => `${bot}:`,
  disclosure:
    "\u0627\u0644\u0625\u062c\u0627\u0628\u0627\u062a \u0645\u0646 \u0630\u0643\u0627\u0621 \u0627\u0635\u0637\u0646\u0627\u0639\u064a \u0648\u0642\u062f \u062a\u062e\u0637\u0626.",
  tooLong: (most) => `${most} \u062d\u0631\u0641 \u0643\u062d\u062f \u0623\u0642\u0635\u0649.`,
  errors: {
    rate_limited:
      "\u0631\u0633\u0627\u0626\u0644 \u0643\u062b\u064a\u0631\u0629. \u0627\u0646\u062a\u0638\u0631 \u0642\u0644\u064a\u0644\u0627\u064b.",
    too_long: "\u0627\u0644\u0631\u0633\u0627\u0644\u0629 \u0637\u0648\u064a\u0644\u0629 \u062c\u062f\u0627\u064b.",
    busy: "\u0627\u0646\u062a\u0638\u0631 \u0627\u0644\u0625\u062c\u0627\u0628\u0629 \u0623\u0648\u0644\u0627\u064b.",
    budget_exceeded:
      "\u0627\u0644\u0645\u0633\u0627\u0639\u062f \u063a\u064a\u0631 \u0645\u062a\u0627\u062d \u0627\u0644\u0622\u0646.",
    no_provider:
      "\u0644\u0627 \u064a\u0645\u0643\u0646 \u0644\u0644\u0645\u0633\u0627\u0639\u062f \u0627\u0644\u0625\u062c\u0627\u0628\u0629 \u0627\u0644\u0622\u0646.",
    interrupted: "\u0627\u0646\u0642\u0637\u0639\u062a \u0627\u0644\u0625\u062c\u0627\u0628\u0629.",
    origin_not_allowed:
      "\u0627\u0644\u0645\u062d\u0627\u062f\u062b\u0629 \u063a\u064a\u0631 \u0645\u062a\u0627\u062d\u0629 \u0641\u064a \u0647\u0630\u0627 \u0627\u0644\u0645\u0648\u0642\u0639.",
    bot_unknown:
      "\u0644\u0645 \u062a\u0639\u062f \u0647\u0630\u0647 \u0627\u0644\u0645\u062d\u0627\u062f\u062b\u0629 \u0645\u0648\u062c\u0648\u062f\u0629.",
    connection_limit:
      "\u0627\u0644\u0645\u062d\u0627\u062f\u062b\u0629 \u0645\u0641\u062a\u0648\u062d\u0629 \u0641\u064a \u0623\u0645\u0627\u0643\u0646 \u0643\u062b\u064a\u0631\u0629.",
    other: "\u062d\u062f\u062b \u062e\u0637\u0623 \u0645\u0627.",
  },
};

export const TEXTS: Readonly<Record<string, Texts>> = { en, de, es, fr, ar };

/** The language to use: what was asked for, else the page's, else the browser's, if the bot speaks it. */
export function chooseLanguage(
  asked: string | undefined,
  page: string,
  browser: readonly string[],
  spoken: readonly string[],
): string {
  const allowed = spoken.map(primary);
  const wishes = asked && asked !== "auto" ? [asked, page, ...browser] : [page, ...browser];
  for (const wish of wishes.map(primary)) {
    if (wish in TEXTS && (allowed.length === 0 || allowed.includes(wish))) return wish;
  }
  return allowed.find((language) => language in TEXTS) ?? "en";
}

const primary = (tag: string) => tag.toLowerCase().split("-")[0] ?? "";

export function textsFor(language: string): Texts {
  return TEXTS[primary(language)] ?? en;
}

export function errorText(texts: Texts, code: string): string {
  return (texts.errors as Record<string, string>)[code] ?? texts.errors.other;
}
