import { JSONExt, type PartialJSONValue } from '@lumino/coreutils';

/** What a notebook's parameters are, as the form needs it; made by `parameterFields` of the server's JSON Schema. */
export interface ParameterFields {
  /** The schema for the form: what it has no field for is a text with a JSON value in it. */
  readonly schema: Record<string, unknown>;
  readonly uiSchema: Record<string, unknown>;
  readonly names: readonly string[];
  readonly defaults: Record<string, unknown>;
  /** How the text or emptiness of a field becomes the parameter's value. */
  readonly kinds: Record<string, FieldKind>;
}

interface FieldKind {
  readonly type: 'text' | 'number' | 'boolean' | 'list' | 'choice' | 'json';
  readonly nullable: boolean;
  readonly required: boolean;
  readonly secret: boolean;
}

/** What the form holds. */
export type FormData = Record<string, unknown>;

/** What is wrong, by the parameter's name. */
export type Faults = Record<string, string>;

type Schema = Record<string, unknown>;

const isSchema = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A schema without its `null` alternative, and whether it had one. */
function withoutNull(schema: Schema): { schema: Schema; nullable: boolean } {
  const { anyOf, type, ...rest } = schema;
  if (Array.isArray(anyOf)) {
    const others = anyOf.filter(each => !(isSchema(each) && each.type === 'null'));
    const nullable = others.length < anyOf.length;
    return others.length === 1 && isSchema(others[0])
      ? { schema: { ...rest, ...others[0] }, nullable }
      : { schema: { ...rest }, nullable };
  }
  if (Array.isArray(type)) {
    const others = type.filter(each => each !== 'null');
    const nullable = others.length < type.length;
    return { schema: others.length === 1 ? { ...rest, type: others[0] } : rest, nullable };
  }
  return { schema, nullable: false };
}

const PLAIN_ITEMS = ['string', 'integer', 'number'];

const isSecret = (schema: Schema): boolean =>
  schema.format === 'password' || schema.writeOnly === true;

function typeOf(schema: Schema): FieldKind['type'] {
  const { type, items } = schema;
  if (isSecret(schema)) {
    // Typed as a password is, whatever it is: what is no text, as JSON.
    return type === undefined || type === 'string' ? 'text' : 'json';
  }
  if (Array.isArray(schema.enum) && schema.enum.every(each => typeof each !== 'object')) {
    return 'choice';
  }
  if (type === 'string') {
    return 'text';
  }
  if (type === 'integer' || type === 'number') {
    return 'number';
  }
  if (type === 'boolean') {
    return 'boolean';
  }
  const plain =
    isSchema(items) && items.enum === undefined && PLAIN_ITEMS.includes(String(items.type));
  return type === 'array' && plain ? 'list' : 'json';
}

function fieldOf(name: string, given: Schema, type: FieldKind['type']): [Schema, Schema] {
  const { title, description, enum: choices, format, items } = given;
  const base: Schema = { title: typeof title === 'string' && title !== '' ? title : name };
  if (typeof description === 'string') {
    base.description = description;
  }
  const hidden = { 'ui:widget': 'password', 'ui:autocomplete': 'new-password' };
  const secret = isSecret(given);
  switch (type) {
    case 'choice':
      return [{ ...base, enum: choices }, {}];
    case 'number':
      return [{ ...base, type: given.type }, {}];
    case 'boolean':
      return [{ ...base, type: 'boolean' }, {}];
    case 'list':
      return [{ ...base, type: 'array', items }, { items: { 'ui:emptyValue': '' } }];
    case 'json':
      return [
        { ...base, type: 'string' },
        {
          'ui:emptyValue': '',
          'ui:placeholder': 'JSON',
          ...(secret ? hidden : { 'ui:widget': 'textarea', 'ui:options': { rows: 2 } })
        }
      ];
    default:
      return [
        // A browser's own field of a time would turn it into UTC: it stays the text that is written.
        { ...base, type: 'string', ...(format === 'date' ? { format } : {}) },
        {
          'ui:emptyValue': '',
          ...(secret ? hidden : {}),
          ...(format === 'date-time' ? { 'ui:placeholder': '2026-01-31T06:00' } : {})
        }
      ];
  }
}

/** Make the fields of a form of the JSON Schema of a notebook's parameters. */
export function parameterFields(
  schema: Record<string, unknown>,
  defaults: Record<string, unknown>
): ParameterFields {
  const given = isSchema(schema.properties) ? schema.properties : {};
  const required = Array.isArray(schema.required) ? schema.required : [];
  const properties: Schema = {};
  const uiSchema: Schema = {};
  const kinds: Record<string, FieldKind> = {};
  for (const [name, property] of Object.entries(given)) {
    const { schema: own, nullable } = withoutNull(isSchema(property) ? property : {});
    const type = typeOf(own);
    kinds[name] = { type, nullable, required: required.includes(name), secret: isSecret(own) };
    [properties[name], uiSchema[name]] = fieldOf(name, own, type);
  }
  return {
    schema: { type: 'object', properties, required: required.filter(name => name in properties) },
    uiSchema,
    names: Object.keys(given),
    defaults,
    kinds
  };
}

/** What the form shows for values: those that are given over the defaults. */
export function formData(fields: ParameterFields, values: Record<string, unknown>): FormData {
  const data: FormData = {};
  for (const name of fields.names) {
    const value = name in values ? values[name] : fields.defaults[name];
    const { type } = fields.kinds[name];
    if (type === 'json') {
      data[name] = value === undefined ? '' : JSON.stringify(value);
    } else if (value !== undefined && value !== null) {
      data[name] = value;
    }
  }
  return data;
}

const same = (a: unknown, b: unknown): boolean =>
  a === b || (b !== undefined && JSONExt.deepEqual(a as PartialJSONValue, b as PartialJSONValue));

/**
 * Read the form. Parameters that have the notebook's default are left out, so that they follow the notebook, unless
 * they were `given` before; what the form has no field for stays as it was given.
 */
export function readForm(
  fields: ParameterFields,
  data: FormData,
  given: Record<string, unknown>
): { parameters: Record<string, unknown>; faults: Faults } {
  const parameters: Record<string, unknown> = {};
  const faults: Faults = {};
  for (const [name, value] of Object.entries(given)) {
    if (!fields.names.includes(name)) {
      parameters[name] = value;
    }
  }
  for (const name of fields.names) {
    if (meansDefault(fields, data, name)) {
      continue;
    }
    const { value, fault } = readField(fields.kinds[name], data[name]);
    if (fault !== undefined) {
      faults[name] = fault;
    } else if (value === undefined) {
      if (fields.kinds[name].required) {
        faults[name] = 'This parameter has no default: give a value.';
      }
    } else if (name in given || !same(value, fields.defaults[name])) {
      parameters[name] = value;
    }
  }
  return { parameters, faults };
}

/** Whether a field is empty whose default is not shown (a secret, a call): then the notebook's own is meant. */
export function meansDefault(fields: ParameterFields, data: FormData, name: string): boolean {
  const empty = data[name] === undefined || data[name] === '';
  return empty && !(name in fields.defaults) && !fields.kinds[name].required;
}

/** The parameters whose field does not say the notebook's default, where that is known. */
export function changedNames(fields: ParameterFields, data: FormData): Set<string> {
  const changed = fields.names.filter(name => {
    const { value, fault } = readField(fields.kinds[name], data[name]);
    const isDefault = fault === undefined && same(value, fields.defaults[name]);
    return name in fields.defaults && !isDefault;
  });
  return new Set(changed);
}

function readField(kind: FieldKind, value: unknown): { value?: unknown; fault?: string } {
  if (value === undefined || value === '' || value === null) {
    if (kind.nullable) {
      return { value: null };
    }
    if (kind.type === 'text') {
      // An empty text is a value; a field that nobody has touched is none.
      return kind.required && value === undefined ? {} : { value: value ?? undefined };
    }
    const empty: Partial<Record<FieldKind['type'], string>> = {
      number: 'Give a number.',
      json: 'Give a JSON value.',
      choice: 'Choose one.'
    };
    return { value: undefined, fault: kind.required ? undefined : empty[kind.type] };
  }
  if (kind.type === 'json') {
    try {
      return { value: JSON.parse(String(value)) as unknown };
    } catch (reason) {
      return { fault: `Not JSON: ${reason instanceof Error ? reason.message : String(reason)}` };
    }
  }
  if (kind.type === 'number' && typeof value !== 'number') {
    return { fault: 'Give a number.' };
  }
  return { value };
}
