import { AddButton, DropButton, FormComponent } from '@jupyterlab/ui-components';
import * as React from 'react';
import { valueText } from '../../draw/text';
import type { Faults, FormData, ParameterFields } from '../../model/parameters';
import { Note } from './Field';

type FormProps = React.ComponentProps<typeof FormComponent>;
type Templates = NonNullable<FormProps['templates']>;
type FieldProps = React.ComponentProps<NonNullable<Templates['FieldTemplate']>>;
type ListProps = React.ComponentProps<NonNullable<Templates['ArrayFieldTemplate']>>;
type ObjectProps = React.ComponentProps<NonNullable<Templates['ObjectFieldTemplate']>>;

const PREFIX = 'jp-wf-parameter';

/** What the templates are told beside their own properties. */
interface Context {
  faults: Faults;
  defaults: Record<string, unknown>;
  secrets: ReadonlySet<string>;
}

/** The server judges what is typed; the form shows what it says. */
const VALIDATOR: FormProps['validator'] = {
  validateFormData: () => ({ errors: [], errorSchema: {} }),
  toErrorList: () => [],
  isValid: () => true,
  rawValidation: () => ({})
};

function shownDefault(context: Context, name: string, value: unknown): string | undefined {
  if (!(name in context.defaults) || context.secrets.has(name)) {
    return undefined;
  }
  const text = valueText(context.defaults[name]);
  return text === valueText(value) ? undefined : `Default: ${text}`;
}

/** One parameter: label, control, what is wrong or how the default is. Items of lists have no label of their own. */
function ParameterField(props: FieldProps): JSX.Element {
  const { id, label, children, schema, formData, required, formContext } = props;
  const context = formContext as Context;
  if (id === PREFIX) {
    return <>{children}</>;
  }
  const name = id.slice(PREFIX.length + 1);
  const isItem = !(name in context.defaults) && /_\d+$/.test(name) && schema.title === undefined;
  if (isItem) {
    return <div className="jp-WfField-item">{children}</div>;
  }
  const fault = (context.faults as Partial<Faults>)[name];
  const named = schema.type !== 'boolean' && schema.type !== 'array';
  return (
    <div
      className={fault === undefined ? 'jp-WfField' : 'jp-WfField jp-mod-wrong'}
      data-field={`parameters.${name}`}
    >
      {named && (
        <label htmlFor={id}>
          {label}
          {required && <span title="It has no default"> *</span>}
        </label>
      )}
      {children}
      {schema.description !== undefined && schema.type !== 'boolean' && (
        <p className="jp-WfField-hint" id={`${id}__description`}>
          {schema.description}
        </p>
      )}
      <Note id={`${id}__error`} fault={fault} hint={shownDefault(context, name, formData)} />
    </div>
  );
}

/** A list: its items below each other, each with a button that removes it, and one that adds an item. */
function ListField(props: ListProps): JSX.Element {
  const { title, items, canAdd, onAddClick } = props;
  return (
    <fieldset className="jp-WfField-list">
      <legend>{title}</legend>
      {items.map(item => (
        <div key={item.key} className="jp-WfField-row">
          {item.children}
          {item.hasRemove && <DropButton item={item} buttonStyle="text" />}
        </div>
      ))}
      {canAdd && <AddButton onAddClick={onAddClick} buttonStyle="text" />}
    </fieldset>
  );
}

function AllFields(props: ObjectProps): JSX.Element {
  return <>{props.properties.map(property => property.content)}</>;
}

const TEMPLATES: Templates = {
  FieldTemplate: ParameterField,
  ArrayFieldTemplate: ListField,
  ObjectFieldTemplate: AllFields
};

/** The typed form of a notebook's parameters. */
export function ParameterForm(props: {
  fields: ParameterFields;
  data: FormData;
  faults: Faults;
  onChange: (data: FormData) => void;
}): JSX.Element | null {
  const { fields, data, faults, onChange } = props;
  const secrets = React.useMemo(
    () => new Set(fields.names.filter(name => fields.kinds[name].secret)),
    [fields]
  );
  if (fields.names.length === 0) {
    return null;
  }
  const context: Context = { faults, defaults: fields.defaults, secrets };
  return (
    <div className="jp-WfParameters">
      <FormComponent
        schema={fields.schema}
        uiSchema={fields.uiSchema}
        formData={data as FormProps['formData']}
        onChange={event => onChange(event.formData ?? {})}
        validator={VALIDATOR}
        templates={TEMPLATES}
        formContext={context}
        idPrefix={PREFIX}
        tagName="div"
        noValidate={true}
        noHtml5Validate={true}
        showErrorList={false}
      />
    </div>
  );
}
