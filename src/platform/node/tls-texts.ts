/** OpenSSL's verdicts on a certificate chain in the words of Go's crypto/x509. */
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
