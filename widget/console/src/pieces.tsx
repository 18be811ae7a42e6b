/** Small parts several screens share. */

import { ActionIcon, Button, CopyButton, Group, Modal, Stack, Text, Title, Tooltip } from "@mantine/core";
import { useDocumentTitle } from "@mantine/hooks";
import { type ReactNode, useEffect, useRef } from "react";
import { Icon } from "./icons";
import { Failure } from "./states";

interface HeadingProps {
  title: string;
  lead?: ReactNode;
  actions?: ReactNode;
  before?: ReactNode;
}

/** The top of a screen; takes the focus when the screen opens, so that keyboards and readers start there. */
export function Heading({ title, lead, actions, before }: HeadingProps): ReactNode {
  const heading = useRef<HTMLHeadingElement>(null);
  useDocumentTitle(`${title} · Parlour`);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  return (
    <header className="heading">
      {before}
      <div className="heading-text">
        <Title order={1} size="h2" ref={heading} tabIndex={-1}>
          {title}
        </Title>
        {lead && <div className="heading-lead">{lead}</div>}
      </div>
      {actions && <Group gap="sm">{actions}</Group>}
    </header>
  );
}

/** A titled part of a form: what it is for on the left, its fields on the right. */
export function Section({ title, lead, children }: { title: string; lead: ReactNode; children: ReactNode }): ReactNode {
  return (
    <section className="section">
      <div className="section-text">
        <Title order={2} size="h5">
          {title}
        </Title>
        <Text size="sm" c="dimmed" mt={4}>
          {lead}
        </Text>
      </div>
      <div className="card section-fields">{children}</div>
    </section>
  );
}

/** Copies `value` and says that it did. */
export function CopyAction({ value, label }: { value: string; label: string }): ReactNode {
  return (
    <CopyButton value={value} timeout={1500}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? "Copied" : label} events={{ hover: true, focus: true, touch: true }}>
          <ActionIcon variant="subtle" color={copied ? "teal" : "gray"} onClick={copy} aria-label={label} size="sm">
            <Icon name={copied ? "check" : "copy"} size={15} />
          </ActionIcon>
        </Tooltip>
      )}
    </CopyButton>
  );
}

/** Text to paste elsewhere, with the button that copies it. */
export function Snippet({ code, label }: { code: string; label: string }): ReactNode {
  return (
    <section className="snippet" aria-label={label}>
      <pre>{code}</pre>
      <CopyButton value={code} timeout={1800}>
        {({ copied, copy }) => (
          <Button
            size="xs"
            variant={copied ? "light" : "default"}
            color={copied ? "teal" : "gray"}
            onClick={copy}
            leftSection={<Icon name={copied ? "check" : "copy"} size={14} />}
          >
            {copied ? "Copied" : "Copy"}
          </Button>
        )}
      </CopyButton>
    </section>
  );
}

interface ConfirmProps {
  opened: boolean;
  title: string;
  action: string;
  busy: boolean;
  failure: unknown;
  onClose: () => void;
  onConfirm: () => void;
  children: ReactNode;
}

/** Asks before something that cannot be undone. */
export function Confirm({
  opened,
  title,
  action,
  busy,
  failure,
  onClose,
  onConfirm,
  children,
}: ConfirmProps): ReactNode {
  return (
    <Modal opened={opened} onClose={onClose} title={title}>
      <Stack>
        <Text size="sm">{children}</Text>
        {failure !== null && <Failure failure={failure} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose} data-autofocus>
            Cancel
          </Button>
          <Button color="red" loading={busy} onClick={onConfirm}>
            {action}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
