import { TextInput } from "@mantine/core";
import { type ReactNode, useEffect, useState } from "react";

interface AmountProps {
  label: string;
  unit: string;
  low: number;
  high: number;
  decimals?: number;
  value: number;
  onChange: (value: number) => void;
  error: string | null;
}

/** The number a text means within these bounds; null when it means none. */
export function readAmount(text: string, low: number, high: number, decimals = 0): number | null {
  const plain = text.replace(/[\s,_]/g, "");
  if (!/^\d+(\.\d*)?$/.test(plain)) return null;
  const value = Number(Number(plain).toFixed(decimals));
  return value >= low && value <= high ? value : null;
}

/** A number with its unit and its bounds; what is typed is told on only while it is a number within them. */
export function Amount({ label, unit, low, high, decimals = 0, value, onChange, error }: AmountProps): ReactNode {
  const [text, setText] = useState(String(value));
  const read = readAmount(text, low, high, decimals);
  useEffect(
    () => setText((present) => (readAmount(present, low, high, decimals) === value ? present : String(value))),
    [value, low, high, decimals],
  );
  const type = (typed: string) => {
    setText(typed);
    const number = readAmount(typed, low, high, decimals);
    if (number !== null) onChange(number);
  };
  return (
    <TextInput
      label={label}
      description={unit}
      inputMode={decimals > 0 ? "decimal" : "numeric"}
      value={text}
      onChange={(event) => type(event.currentTarget.value)}
      onBlur={() => setText(String(value))}
      error={
        error ?? (read === null && `A number from ${low.toLocaleString("en-US")} to ${high.toLocaleString("en-US")}.`)
      }
    />
  );
}
