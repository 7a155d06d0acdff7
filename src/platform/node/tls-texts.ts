/** OpenSSL's verdicts on a certificate chain, and its names of alerts, in the words of Go's crypto/x509 and crypto/tls. */
const unknownAuthority = "x509: certificate signed by unknown authority";

const texts: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownAuthority,
  SELF_SIGNED_CERT_IN_CHAIN: unknownAuthority,
  DEPTH_ZERO_SELF_SIGNED_CERT: unknownAuthority,
  CERT_SIGNATURE_FAILURE: unknownAuthority,
  CERT_HAS_EXPIRED: "x509: certificate has expired or is not yet valid",
  CERT_NOT_YET_VALID: "x509: certificate has expired or is not yet valid",
  INVALID_PURPOSE: "x509: certificate specifies an incompatible key usage",
  INVALID_CA: "x509: invalid signature: parent certificate cannot sign this kind of certificate",
};

/** @param code - as in Node's `authorizationError`; returned as it is when it is no verdict on a chain. */
export function verificationText(code: string): string {
  return texts[code] ?? code;
}

/** What comes in an alert from the other end; OpenSSL puts the lowest version that has it into the name. */
const alerts: Readonly<Record<string, string>> = {
  BAD_CERTIFICATE: "bad certificate",
  CERTIFICATE_EXPIRED: "expired certificate",
  CERTIFICATE_REQUIRED: "certificate required",
  CERTIFICATE_REVOKED: "revoked certificate",
  CERTIFICATE_UNKNOWN: "unknown certificate",
  DECRYPT_ERROR: "error decrypting message",
  HANDSHAKE_FAILURE: "handshake failure",
  INTERNAL_ERROR: "internal error",
  NO_APPLICATION_PROTOCOL: "no application protocol",
  PROTOCOL_VERSION: "protocol version not supported",
  UNKNOWN_CA: "unknown certificate authority",
  UNSUPPORTED_CERTIFICATE: "unsupported certificate",
};

/** Go's words for an alert of the other end. @param code - of a Node error; undefined when it is no alert. */
export function alertText(code: string): string | undefined {
  const name = /^ERR_SSL_(?:SSLV3|TLSV1|TLSV13)_ALERT_(.+)$/.exec(code)?.[1];
  return name === undefined || !(name in alerts) ? undefined : `remote error: tls: ${alerts[name]}`;
}

const handshakeFailures: Readonly<Record<string, string>> = {
  ECONNRESET: "EOF",
  ERR_SSL_HTTP_REQUEST: "tls: first record does not look like a TLS handshake",
  ERR_SSL_NO_APPLICATION_PROTOCOL: "tls: client requested unsupported application protocols",
  ERR_SSL_NO_SHARED_CIPHER: "tls: no cipher suite supported by both client and server",
  ERR_SSL_PACKET_LENGTH_TOO_LONG: "tls: first record does not look like a TLS handshake",
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: "tls: client didn't provide a certificate",
  ERR_SSL_UNSUPPORTED_PROTOCOL: "tls: client offered only unsupported versions",
  ERR_SSL_WRONG_VERSION_NUMBER: "tls: first record does not look like a TLS handshake",
  ERR_TLS_HANDSHAKE_TIMEOUT: "i/o timeout",
};

/** Go's words for what ended a client's handshake, or the error's own. */
export function handshakeText(error: Error): string {
  const { code = "" } = error as NodeJS.ErrnoException;
  return handshakeFailures[code] ?? alertText(code) ?? error.message.trim();
}
