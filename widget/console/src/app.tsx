/** Which screen stands at which address. */

import { useQuery } from "@tanstack/react-query";
import type { ComponentType, ReactNode } from "react";
import { Redirect, Route, Switch, useLocation, useSearch } from "wouter";
import { Problem } from "./api";
import BotList from "./bots/list";
import { CrashBarrier } from "./crash";
import Login from "./login";
import { useSession } from "./session";
import { Nowhere, Shell } from "./shell";
import { Failure, Loading } from "./states";

/** The screens that are fetched when somebody goes there. */
const LATER = {
  editor: () => import("./bots/editor"),
  conversations: () => import("./conversations/conversations"),
  keys: () => import("./keys/keys"),
};

type LaterName = keyof typeof LATER;
type ScreenProps<Name extends LaterName> = Awaited<ReturnType<(typeof LATER)[Name]>>["default"] extends (
  props: infer Props,
) => ReactNode
  ? Props
  : never;

/** A screen in a file of its own; unlike React.lazy it can be asked for again after a failure. */
function Later<Name extends LaterName>({ screen, props }: { screen: Name; props: ScreenProps<Name> }): ReactNode {
  const file = useQuery({
    queryKey: ["screen", screen],
    queryFn: async () => {
      try {
        return await LATER[screen]();
      } catch {
        throw new Problem(0);
      }
    },
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: Number.POSITIVE_INFINITY,
  });
  if (file.isPending) return <Loading label="Loading…" />;
  if (file.isError) return <Failure failure={file.error} retry={() => void file.refetch()} />;
  const Screen = file.data.default as ComponentType<object>;
  return <Screen {...(props as object)} />;
}

export function App(): ReactNode {
  return (
    <Switch>
      <Route path="/login" component={Login} />
      <Route component={SignedIn} />
    </Switch>
  );
}

function SignedIn(): ReactNode {
  const session = useSession();
  const [location] = useLocation();
  const search = useSearch();
  if (session.isPending) return <Loading label="Opening the console…" />;
  if (session.isError) {
    return (
      <main className="login">
        <Failure failure={session.error} retry={() => void session.refetch()} />
      </main>
    );
  }
  if (!session.data) {
    const here = `${location}${search ? `?${search}` : ""}`;
    return <Redirect to={location === "/" ? "/login" : `/login?next=${encodeURIComponent(here)}`} replace />;
  }
  return (
    <Shell session={session.data}>
      <CrashBarrier place={location}>
        <Screens />
      </CrashBarrier>
    </Shell>
  );
}

function Screens(): ReactNode {
  return (
    <Switch>
      <Route path="/">
        <Redirect to="/bots" replace />
      </Route>
      <Route path="/bots" component={BotList} />
      <Route path="/bots/:id/:tab?">
        {({ id, tab }) => <Later key={id} screen="editor" props={{ id, tab: tab ?? "persona" }} />}
      </Route>
      <Route path="/conversations/:id?">
        {({ id }) => <Later screen="conversations" props={{ id: id ?? null }} />}
      </Route>
      <Route path="/api-keys">
        <Later screen="keys" props={{}} />
      </Route>
      <Route component={Nowhere} />
    </Switch>
  );
}
