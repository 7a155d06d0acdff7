/**
 * The header list of a gRPC request, read once into plain fields: what HTTP/2 demands of a request (RFC 9113 section 8.3)
 * and what gRPC does with it, in the order and with the texts of grpc-go.
 */
import { FieldKind, type HeaderField } from "../http2/header-field.ts";
import type { HeaderList } from "../http2/hpack-decoder.ts";

const noMetadata: readonly HeaderField[] = [];

/** Reused for the next request: take what is kept. */
export class RequestHead {
  /** False: malformed for HTTP/2; the stream is reset with PROTOCOL_ERROR. */
  valid = false;
  method = "";
  path = "";
  authorities = 0;
  contentType = "";
  encoding = "";
  /** As sent; empty when absent. */
  timeout = "";
  /** What is wrong with a `-bin` field, in grpc-go's words; empty when nothing is. */
  binaryError = "";
  /** All but gRPC's own fields and pseudo-headers. The array belongs to the call. */
  metadata: readonly HeaderField[] = noMetadata;

  read(list: HeaderList): void {
    this.valid = true;
    this.method = "";
    this.path = "";
    this.authorities = 0;
    this.contentType = "";
    this.encoding = "";
    this.timeout = "";
    this.binaryError = "";
    this.metadata = noMetadata;
    let scheme = false;
    let regular = false;
    let metadata: HeaderField[] | undefined;
    for (let index = 0; index < list.count; index++) {
      const field = list.fields[index];
      switch (field.kind) {
        case FieldKind.method:
          if (regular || this.method !== "") this.valid = false;
          this.method = field.value;
          break;
        case FieldKind.scheme:
          if (regular || scheme) this.valid = false;
          scheme = true;
          break;
        case FieldKind.path:
          if (regular || this.path !== "") this.valid = false;
          this.path = field.value;
          break;
        case FieldKind.authority:
          if (regular) this.valid = false;
          this.authorities++;
          break;
        case FieldKind.contentType:
          regular = true;
          this.contentType = field.value;
          break;
        case FieldKind.te:
          regular = true;
          if (field.value !== "trailers") this.valid = false;
          break;
        case FieldKind.grpcEncoding:
          regular = true;
          this.encoding = field.value;
          break;
        case FieldKind.grpcTimeout:
          regular = true;
          this.timeout = field.value;
          break;
        case FieldKind.grpcAcceptEncoding:
          regular = true;
          break;
        case FieldKind.status:
        case FieldKind.connectionSpecific:
        case FieldKind.malformed:
          this.valid = false;
          break;
        default:
          regular = true;
          if (field.kind === FieldKind.binary && this.binaryError === "") this.binaryError = binaryError(field);
          if (metadata === undefined) metadata = [field];
          else metadata.push(field);
      }
    }
    if (metadata !== undefined) this.metadata = metadata;
    if (this.method === "" || !scheme || this.path === "") this.valid = false;
  }
}

/** Base64 is standard, padded when its length says so; anything else is refused as Go's decoder does. */
function binaryError({ name, value }: HeaderField): string {
  const padded = value.length % 4 === 0;
  const text = padded ? value.replace(/={1,2}$/, "") : value;
  const illegal = text.search(/[^A-Za-z0-9+/]/);
  let position = illegal;
  if (illegal < 0 && text.length % 4 === 1) position = text.length - 1;
  if (position < 0) return "";
  const what = `malformed binary metadata ${JSON.stringify(value)} in header ${JSON.stringify(name)}`;
  return `${what}: illegal base64 data at input byte ${position}`;
}

/**
 * The subtype of a gRPC content type: `""` for `application/grpc`, `proto` for `application/grpc+proto`; undefined when it
 * is none of gRPC's.
 */
export function contentSubtype(contentType: string): string | undefined {
  if (!contentType.startsWith("application/grpc")) return undefined;
  const rest = contentType.slice("application/grpc".length);
  if (rest === "") return "";
  return rest[0] === "+" || rest[0] === ";" ? rest.slice(1) : undefined;
}
