/** The client's connection preface (RFC 9113 section 3.4), 24 bytes; its SETTINGS frame follows. */
export const clientPreface: Uint8Array = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
