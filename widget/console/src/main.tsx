import "./style.css";
import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { setNonce } from "get-nonce";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Router } from "wouter";
import { Client, Problem } from "./api";
import { App } from "./app";
import { DraftsProvider } from "./bots/draft";
import { UploadsProvider } from "./documents/uploads";
import { ApiProvider } from "./session";
import { theme } from "./theme";

/** Only what may pass on its own is tried again: no answer, or a server in trouble. */
function worthRetrying(failures: number, failure: Error): boolean {
  return failures < 2 && failure instanceof Problem && (failure.status === 0 || failure.status >= 502);
}

function start(element: HTMLElement): void {
  const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? "";
  setNonce(nonce);
  const queries = new QueryClient({
    defaultOptions: {
      // "always": a server on this machine answers without any network, and a failure is shown instead of waited for.
      queries: { retry: worthRetrying, staleTime: 10_000, networkMode: "always", refetchOnReconnect: true },
      mutations: { retry: false, networkMode: "always" },
    },
  });
  createRoot(element).render(
    <StrictMode>
      <MantineProvider theme={theme} defaultColorScheme="auto" getStyleNonce={() => nonce}>
        <QueryClientProvider client={queries}>
          <ApiProvider client={new Client()}>
            <DraftsProvider>
              <UploadsProvider>
                <Router base="/console">
                  <App />
                </Router>
              </UploadsProvider>
            </DraftsProvider>
          </ApiProvider>
        </QueryClientProvider>
      </MantineProvider>
    </StrictMode>,
  );
}

const element = document.getElementById("console");
if (element) start(element);
