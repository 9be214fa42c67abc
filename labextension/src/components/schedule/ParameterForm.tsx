import { FormComponent } from '@jupyterlab/ui-components';
import * as React from 'react';
import { valueText } from '../../draw/text';
import {
  changedNames,
  type Faults,
  type FormData,
  meansDefault,
  type ParameterFields
} from '../../model/parameters';
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
  /** The parameters that have no longer the notebook's default, secrets left out. */
  changed: ReadonlySet<string>;
  /** Those whose default is not shown: an empty field means it. */
  hidden: ReadonlySet<string>;
}

/** The server judges what is typed; the form shows what it says. */
const VALIDATOR: FormProps['validator'] = {
  validateFormData: () => ({ errors: [], errorSchema: {} }),
  toErrorList: () => [],
  isValid: () => true,
  rawValidation: () => ({})
};

function shownDefault(context: Context, name: string): string | undefined {
  if (context.hidden.has(name)) {
    return "Empty: the notebook's own";
  }
  return context.changed.has(name) ? `Default: ${valueText(context.defaults[name])}` : undefined;
}

/** One parameter: label, control, what is wrong or how the default is. Items of lists have no label of their own. */
function ParameterField(props: FieldProps): JSX.Element {
  const { id, label, children, schema, uiSchema, required, formContext } = props;
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
      className={[
        'jp-WfField',
        fault === undefined ? '' : 'jp-mod-wrong',
        schema.type === 'array' || uiSchema?.['ui:widget'] === 'textarea' ? 'jp-mod-wide' : ''
      ].join(' ')}
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
      <Note id={`${id}__error`} fault={fault} hint={shownDefault(context, name)} />
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
          {item.hasRemove && (
            <button
              type="button"
              className="wf-Button"
              aria-label={`Remove item ${item.index + 1} of ${title}`}
              onClick={item.onDropIndexClick(item.index)}
            >
              Remove
            </button>
          )}
        </div>
      ))}
      {canAdd && (
        <button
          type="button"
          className="wf-Button"
          aria-label={`Add an item to ${title}`}
          onClick={onAddClick}
        >
          Add
        </button>
      )}
    </fieldset>
  );
}

function AllFields(props: ObjectProps): JSX.Element {
  return (
    <div className="jp-WfForm-columns">{props.properties.map(property => property.content)}</div>
  );
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
  if (fields.names.length === 0) {
    return null;
  }
  const changed = changedNames(fields, data);
  for (const name of fields.names.filter(each => fields.kinds[each].secret)) {
    changed.delete(name);
  }
  const hidden = new Set(fields.names.filter(name => meansDefault(fields, data, name)));
  const context: Context = { faults, defaults: fields.defaults, changed, hidden };
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
