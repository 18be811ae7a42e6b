/** Files on their way to the server. The queue stands above the screens: leaving the tab stops no upload. */

import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useState, useSyncExternalStore } from "react";
import { type Client, Problem, readProblem } from "../api";
import type { BotDocument } from "../resources";
import { useApi } from "../session";
import { changeDocuments, withDocument } from "./feed";

export interface Upload {
  readonly key: number;
  readonly botId: string;
  readonly file: File;
  readonly state: "waiting" | "sending" | "failed";
  /** Share of the bytes that have left, 0 to 1. */
  readonly sent: number;
  readonly problem: Problem | null;
}

/** Sends one file; `progress` hears the share sent. */
export type SendFile = (botId: string, file: File, progress: (share: number) => void) => Promise<BotDocument>;

const AT_ONCE = 3;

/** Sends files a few at a time and remembers those that failed until they are tried again or dismissed. */
export class UploadQueue {
  private list: readonly Upload[] = [];
  private nextKey = 1;
  private readonly listeners = new Set<() => void>();
  private readonly send: SendFile;
  private readonly arrived: (document: BotDocument) => void;

  constructor(send: SendFile, arrived: (document: BotDocument) => void) {
    this.send = send;
    this.arrived = arrived;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly read = (): readonly Upload[] => this.list;

  add(botId: string, files: readonly File[]): void {
    const added = files.map((file): Upload => {
      return { key: this.nextKey++, botId, file, state: "waiting", sent: 0, problem: null };
    });
    this.set([...this.list, ...added]);
    this.start();
  }

  retry(key: number): void {
    this.change(key, { state: "waiting", sent: 0, problem: null });
    this.start();
  }

  dismiss(key: number): void {
    this.set(this.list.filter((upload) => upload.key !== key || upload.state === "sending"));
  }

  private start(): void {
    const free = AT_ONCE - this.list.filter(({ state }) => state === "sending").length;
    for (const upload of this.list.filter(({ state }) => state === "waiting").slice(0, Math.max(0, free)))
      void this.run(upload);
  }

  private async run({ key, botId, file }: Upload): Promise<void> {
    this.change(key, { state: "sending" });
    try {
      this.arrived(await this.send(botId, file, (sent) => this.change(key, { sent })));
      this.set(this.list.filter((upload) => upload.key !== key));
    } catch (failure) {
      this.change(key, { state: "failed", problem: failure instanceof Problem ? failure : new Problem(0) });
    }
    this.start();
  }

  private change(key: number, part: Partial<Upload>): void {
    this.set(this.list.map((upload) => (upload.key === key ? { ...upload, ...part } : upload)));
  }

  private set(list: readonly Upload[]): void {
    this.list = list;
    for (const listener of this.listeners) listener();
  }
}

/** Over XMLHttpRequest, because fetch cannot tell how much of a body has been sent. */
function sender(api: Client): SendFile {
  return (botId, file, progress) =>
    new Promise((done, fail) => {
      const request = new XMLHttpRequest();
      const body = new FormData();
      body.append("file", file, file.name);
      request.open("POST", `/v1/bots/${encodeURIComponent(botId)}/documents`);
      request.setRequestHeader("Accept", "application/json");
      if (api.csrfToken) request.setRequestHeader("X-CSRF-Token", api.csrfToken);
      request.upload.onprogress = ({ loaded, total }) => progress(total > 0 ? loaded / total : 0);
      request.onerror = () => fail(new Problem(0));
      request.onload = () => {
        const { status, responseText } = request;
        if (status >= 200 && status < 300) done(JSON.parse(responseText) as BotDocument);
        else fail(api.failed(readProblem(status, responseText, request.getResponseHeader("retry-after"))));
      };
      request.send(body);
    });
}

const UploadsContext = createContext<UploadQueue | null>(null);

export function UploadsProvider({ children }: { children: ReactNode }): ReactNode {
  const api = useApi();
  const queries = useQueryClient();
  const [queue] = useState(
    () =>
      new UploadQueue(sender(api), (document) =>
        changeDocuments(queries, document.bot_id, (list) => withDocument(list, document)),
      ),
  );
  useEffect(() => {
    const warn = (event: BeforeUnloadEvent) => {
      if (queue.read().some(({ state }) => state !== "failed")) event.preventDefault();
    };
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [queue]);
  return <UploadsContext value={queue}>{children}</UploadsContext>;
}

/** The queue, and this bot's files in it. */
export function useUploads(botId: string): { queue: UploadQueue; uploads: readonly Upload[] } {
  const queue = useContext(UploadsContext);
  if (!queue) throw new Error("useUploads needs an UploadsProvider above it");
  const all = useSyncExternalStore(queue.subscribe, queue.read);
  return { queue, uploads: all.filter((upload) => upload.botId === botId) };
}
