/** The frame around every signed-in screen: navigation, who is signed in, and the way out. */

import { AppShell, Avatar, Burger, Button, Group, Menu, NavLink, Text, UnstyledButton } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMutation } from "@tanstack/react-query";
import { type ReactNode, useEffect } from "react";
import { Link, useLocation } from "wouter";
import { useDrafts } from "./bots/draft";
import { Icon, type IconName, Mark } from "./icons";
import type { Session } from "./resources";
import { useApi } from "./session";

const PLACES: readonly { to: string; label: string; icon: IconName }[] = [
  { to: "/bots", label: "Bots", icon: "bot" },
  { to: "/conversations", label: "Conversations", icon: "chat" },
  { to: "/api-keys", label: "API keys", icon: "key" },
];

export function Shell({ session, children }: { session: Session; children: ReactNode }): ReactNode {
  const [opened, { toggle, close }] = useDisclosure(false);
  const [location] = useLocation();
  useEffect(close, [location]);
  return (
    <AppShell
      header={{ height: { base: 56, sm: 0 } }}
      navbar={{ width: 244, breakpoint: "sm", collapsed: { mobile: !opened } }}
      padding={0}
    >
      <a className="skip" href="#main">
        Skip to content
      </a>
      <AppShell.Header hiddenFrom="sm" className="topbar">
        <Group h="100%" px="md" gap="sm">
          <Burger opened={opened} onClick={toggle} size="sm" aria-label={opened ? "Close menu" : "Open menu"} />
          <Mark size={26} />
          <Text fw={650}>Parlour</Text>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="md" className="navbar" aria-label="Main">
        <Group gap="sm" mb="lg" px={6} visibleFrom="sm">
          <Mark size={30} />
          <div>
            <Text fw={650} lh={1.2}>
              Parlour
            </Text>
            <Text size="xs" c="dimmed" lh={1.3} lineClamp={1}>
              {session.tenant.name}
            </Text>
          </div>
        </Group>
        <nav aria-label="Screens" className="places">
          {PLACES.map(({ to, label, icon }) => (
            <NavLink
              key={to}
              component={Link}
              href={to}
              label={label}
              leftSection={<Icon name={icon} />}
              active={location === to || location.startsWith(`${to}/`)}
              aria-current={location === to || location.startsWith(`${to}/`) ? "page" : undefined}
            />
          ))}
        </nav>
        <Member session={session} />
      </AppShell.Navbar>
      <AppShell.Main id="main" tabIndex={-1}>
        <div className="page">{children}</div>
      </AppShell.Main>
    </AppShell>
  );
}

function Member({ session }: { session: Session }): ReactNode {
  const api = useApi();
  const { clear } = useDrafts();
  const signOut = useMutation({
    mutationFn: () => api.delete("/v1/session"),
    onSuccess: () => {
      clear();
      api.onSignedOut();
    },
  });
  const { email, role } = session.member;
  return (
    <Menu position="top-start" width={220}>
      <Menu.Target>
        <UnstyledButton className="member" aria-label={`Signed in as ${email}`}>
          <Avatar radius="xl" size={34} color="iris">
            {email.charAt(0).toUpperCase()}
          </Avatar>
          <div className="member-text">
            <Text size="sm" fw={500} truncate>
              {email}
            </Text>
            <Text size="xs" c="dimmed" tt="capitalize">
              {role}
            </Text>
          </div>
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{session.tenant.name}</Menu.Label>
        <Menu.Item
          leftSection={<Icon name="signOut" size={16} />}
          closeMenuOnClick={false}
          disabled={signOut.isPending}
          onClick={() => signOut.mutate()}
        >
          Sign out
        </Menu.Item>
        {signOut.isError && (
          <Text size="xs" c="var(--mantine-color-error)" px="sm" py={4} role="alert">
            {signOut.error.message}
          </Text>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}

/** No screen at this address. */
export function Nowhere(): ReactNode {
  return (
    <div className="empty">
      <Text fw={600}>There is nothing at this address.</Text>
      <Button component={Link} href="/bots" variant="light">
        Go to your bots
      </Button>
    </div>
  );
}
