/** Errors as DSP0266 "Error responses" has them, with messages of the Base registry (DSP8011). */
import type { Node } from './json.ts';

const REGISTRY = 'Base.1.18';

type MessageRow = { readonly status: number; readonly text: string; readonly resolution: string };

const correct = 'Correct the request and submit it again.';
const none = 'None.';

/** The messages that this service uses: `%1` is the first argument. */
export const MESSAGES = {
  ActionNotSupported: { status: 405, text: 'The action %1 is not supported by the resource.', resolution: correct },
  ActionParameterMissing: {
    status: 400,
    text: 'The action %1 requires the parameter %2 to be present in the request body.',
    resolution: correct,
  },
  ActionParameterUnknown: {
    status: 400,
    text: 'The action %1 was submitted with the invalid parameter %2.',
    resolution: correct,
  },
  ActionParameterValueNotInList: {
    status: 400,
    text: 'The value %1 for the parameter %2 in the action %3 is not in the list of acceptable values.',
    resolution: correct,
  },
  MalformedJSON: {
    status: 400,
    text: 'The request body submitted was malformed JSON and could not be parsed by the receiving service.',
    resolution: correct,
  },
  RequestBodyTooLarge: { status: 413, text: 'The request body is too large.', resolution: correct },
  ResourceMissingAtURI: { status: 404, text: 'The resource at the URI %1 was not found.', resolution: correct },
  OperationNotAllowed: {
    status: 405,
    text: 'The HTTP method is not allowed on this resource.',
    resolution: correct,
  },
  QueryNotSupported: { status: 501, text: 'Querying is not supported by the implementation.', resolution: correct },
  PropertyUnknown: {
    status: 400,
    text: 'The property %1 is not in the list of valid properties for the resource.',
    resolution: correct,
  },
  PropertyNotWritable: {
    status: 400,
    text: 'The property %1 is a read-only property and cannot be assigned a value.',
    resolution: correct,
  },
  PropertyMissing: {
    status: 400,
    text: 'The property %1 is a required property and must be included in the request.',
    resolution: correct,
  },
  PropertyValueTypeError: {
    status: 400,
    text: 'The value %1 for the property %2 is of a different type than the property can accept.',
    resolution: correct,
  },
  PropertyValueNotInList: {
    status: 400,
    text: 'The value %1 for the property %2 is not in the list of acceptable values.',
    resolution: correct,
  },
  PreconditionFailed: {
    status: 412,
    text: 'The ETag supplied did not match the ETag required to change this resource.',
    resolution: 'Read the resource again and submit the request with its ETag.',
  },
  PreconditionRequired: {
    status: 428,
    text: 'A precondition header is required to change this resource.',
    resolution: 'Read the resource and submit the request with its ETag in If-Match.',
  },
  NoValidSession: {
    status: 401,
    text: 'There is no valid session established with the implementation.',
    resolution: 'Establish a session before attempting any operations.',
  },
  ResourceAtUriUnauthorized: {
    status: 401,
    text: 'While accessing the resource at %1, the service received an authorization error.',
    resolution: 'Check that the credentials are right.',
  },
  NoOperation: {
    status: 409,
    text: 'The request body submitted contained no data to act upon, or the resource is in that state already.',
    resolution: none,
  },
  ResourceInErrorState: {
    status: 500,
    text: 'Unable to complete the operation: %1 is in an error state.',
    resolution: 'Find out what is wrong with the resource.',
  },
  ServiceTemporarilyUnavailable: {
    status: 503,
    text: 'The service is temporarily unavailable.  Retry in %1 seconds.',
    resolution: 'Wait for the indicated time and try again.',
  },
  InternalError: {
    status: 500,
    text: 'The request failed due to an internal service error.  The service is still operational.',
    resolution: 'Try again.',
  },
} as const satisfies Readonly<Record<string, MessageRow>>;

/** Name of a message. */
export type MessageName = keyof typeof MESSAGES;

/** What a request is refused with; `property` is the JSON pointer that it is about. */
export class Refusal extends Error {
  readonly messageName: MessageName;
  readonly args: readonly string[];
  readonly property: string | undefined;
  constructor(messageName: MessageName, args: readonly string[] = [], property?: string) {
    super(messageName);
    this.messageName = messageName;
    this.args = args;
    this.property = property;
  }
  /** The HTTP status that goes with the message. */
  get status(): number {
    return MESSAGES[this.messageName].status;
  }
}

/** The body of an error response. */
export function errorBody({ messageName, args, property }: Refusal): Node {
  const { text, resolution } = MESSAGES[messageName];
  const message = {
    '@odata.type': '#Message.v1_2_1.Message',
    MessageId: `${REGISTRY}.${messageName}`,
    Message: text.replaceAll(/%(\d)/g, (_, number: string) => args[Number(number) - 1] ?? ''),
    MessageArgs: args,
    ...(property === undefined ? {} : { RelatedProperties: [property] }),
    Severity: 'Warning',
    MessageSeverity: 'Warning',
    Resolution: resolution,
  };
  return {
    error: {
      code: `${REGISTRY}.GeneralError`,
      message: 'A general error has occurred. See ExtendedInfo for more information.',
      '@Message.ExtendedInfo': [message],
    },
  };
}
