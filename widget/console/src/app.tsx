/** Which screen stands at which address. */

import { lazy, type ReactNode, Suspense } from "react";
import { Redirect, Route, Switch, useLocation, useSearch } from "wouter";
import BotList from "./bots/list";
import Login from "./login";
import { useSession } from "./session";
import { Nowhere, Shell } from "./shell";
import { Failure, Loading } from "./states";

const BotEditor = lazy(() => import("./bots/editor"));
const Conversations = lazy(() => import("./conversations/conversations"));
const ApiKeys = lazy(() => import("./keys/keys"));

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
      <Suspense fallback={<Loading label="Loading…" />}>
        <Screens />
      </Suspense>
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
      <Route path="/bots/:id/:tab?">{({ id, tab }) => <BotEditor key={id} id={id} tab={tab ?? "persona"} />}</Route>
      <Route path="/conversations/:id?">{({ id }) => <Conversations id={id ?? null} />}</Route>
      <Route path="/api-keys" component={ApiKeys} />
      <Route component={Nowhere} />
    </Switch>
  );
}
