/** What a screen shows while it has nothing to show: loading, failed, empty. */

import { Alert, Button, Group, Loader, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";
import { asProblem } from "./api";
import { Icon, type IconName } from "./icons";

export function Loading({ label }: { label: string }): ReactNode {
  return (
    <Group justify="center" py={64} gap="sm" role="status">
      <Loader size="sm" />
      <Text c="dimmed">{label}</Text>
    </Group>
  );
}

/** A failure in the place where it happened, with a way to try again. */
export function Failure({ failure, retry }: { failure: unknown; retry?: () => void }): ReactNode {
  const problem = asProblem(failure);
  return (
    <Alert
      color="red"
      variant="light"
      role="alert"
      icon={<Icon name="alert" />}
      title={problem.title}
      className="failure"
    >
      {problem.message !== problem.title && <Text size="sm">{problem.message}</Text>}
      {problem.requestId && (
        <Text size="xs" c="dimmed" mt={4}>
          Request {problem.requestId}
        </Text>
      )}
      {retry && (
        <Button size="xs" variant="light" color="red" mt="sm" onClick={retry}>
          Try again
        </Button>
      )}
    </Alert>
  );
}

interface EmptyProps {
  icon: IconName;
  title: string;
  children: ReactNode;
  action?: ReactNode;
}

/** Nothing is here yet: says so, and what to do next. */
export function Empty({ icon, title, children, action }: EmptyProps): ReactNode {
  return (
    <div className="empty">
      <span className="empty-icon">
        <Icon name={icon} size={26} />
      </span>
      <Title order={2} size="h4">
        {title}
      </Title>
      <Text c="dimmed" maw={440} ta="center">
        {children}
      </Text>
      {action}
    </div>
  );
}
