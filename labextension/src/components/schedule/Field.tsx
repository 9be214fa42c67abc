import * as React from 'react';
import { plain } from '../../draw/text';

/** What ties a control to its label, hint and fault; to be spread over it. */
export interface ControlProps {
  id: string;
  className: string;
  'aria-invalid': boolean;
  'aria-describedby': string | undefined;
}

/** A label, the control below it, and below that what is wrong, or a hint. */
export function Field(props: {
  id: string;
  label: string;
  fault?: string;
  hint?: React.ReactNode;
  className?: string;
  children: (control: ControlProps) => React.ReactNode;
}): JSX.Element {
  const { id, label, fault, hint, className, children } = props;
  const note = fault !== undefined || hint !== undefined ? `${id}-note` : undefined;
  return (
    <div className={`jp-WfField ${className ?? ''}`} data-field={id}>
      <label htmlFor={id}>{label}</label>
      {children({
        id,
        className: fault === undefined ? 'jp-WfInput' : 'jp-WfInput jp-mod-error',
        'aria-invalid': fault !== undefined,
        'aria-describedby': note
      })}
      <Note id={note} fault={fault} hint={hint} />
    </div>
  );
}

/** What is wrong with a field, or a hint where nothing is. */
export function Note(props: {
  id?: string;
  fault?: string;
  hint?: React.ReactNode;
}): JSX.Element | null {
  const { id, fault, hint } = props;
  if (fault !== undefined) {
    return (
      <p className="jp-WfField-fault" id={id} role="alert">
        {plain(fault)}
      </p>
    );
  }
  return hint === undefined ? null : (
    <p className="jp-WfField-hint" id={id}>
      {hint}
    </p>
  );
}

/** A text field with its label. */
export function TextField(props: {
  id: string;
  label: string;
  value: string;
  onChange: (value: string) => void;
  fault?: string;
  hint?: React.ReactNode;
  placeholder?: string;
  numeric?: boolean;
  code?: boolean;
  list?: string;
  className?: string;
}): JSX.Element {
  const { id, label, value, onChange, fault, hint, placeholder, numeric, code, list } = props;
  return (
    <Field id={id} label={label} fault={fault} hint={hint} className={props.className}>
      {control => (
        <input
          {...control}
          className={code ? `${control.className} jp-mod-code` : control.className}
          type="text"
          inputMode={numeric ? 'decimal' : undefined}
          autoComplete="off"
          spellCheck={false}
          list={list}
          placeholder={placeholder}
          value={value}
          onChange={event => onChange(event.target.value)}
        />
      )}
    </Field>
  );
}

/** A choice from a short list, with its label. */
export function SelectField<T extends string>(props: {
  id: string;
  label: string;
  value: T;
  choices: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
  fault?: string;
  hint?: React.ReactNode;
}): JSX.Element {
  const { id, label, value, choices, onChange, fault, hint } = props;
  return (
    <Field id={id} label={label} fault={fault} hint={hint}>
      {control => (
        <select {...control} value={value} onChange={event => onChange(event.target.value as T)}>
          {choices.map(([choice, words]) => (
            <option key={choice} value={choice}>
              {words}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}
