import { Buffer } from "node:buffer";
import {
  type DescMessage,
  type DescService,
  fromBinary,
  type Message,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";

/** Converts the description of a method that protobuf-es generates into the form that grpc-js needs. */
export function methodDefinition(
  method: DescService["methods"][number],
): MethodDefinition<Message, Message> {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: method.methodKind === "client_streaming" ||
      method.methodKind === "bidi_streaming",
    responseStream: method.methodKind === "server_streaming" ||
      method.methodKind === "bidi_streaming",
    requestSerialize: serializer(method.input),
    requestDeserialize: deserializer(method.input),
    responseSerialize: serializer(method.output),
    responseDeserialize: deserializer(method.output),
  };
}

/**
 * A service in the form that grpc-js needs, for `server.addService` or a client.
 *
 * Methods carry their local names (`prepare`, `list`).
 */
export function serviceDefinition(service: DescService): ServiceDefinition {
  return Object.fromEntries(
    service.methods.map((
      method,
    ) => [method.localName, methodDefinition(method)]),
  );
}

function serializer(schema: DescMessage): (value: Message) => Buffer {
  // A Buffer over the same bytes: grpc-js calls Buffer methods on what it is given.
  return (value) => {
    const bytes = toBinary(schema, value as MessageShape<typeof schema>);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}

function deserializer(schema: DescMessage): (bytes: Buffer) => Message {
  return (bytes) => fromBinary(schema, bytes);
}
